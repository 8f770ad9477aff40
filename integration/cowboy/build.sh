#!/bin/sh
# Usage: build.sh OUTDIR
#
# Builds quay-1.0.0.tar.gz and quay-1.1.0.tar.gz out of this directory and of the two rabbitmq-server that are unpacked in
# /debian: 1.0.0 has the plugins of one Debian, 1.1.0 the ranch of the next.
set -eu

OLD=trixie NEW=sid
here=$(cd "$(dirname "$0")" && pwd)
libs=$(mktemp -d)
mkdir -p "$1"

plugins() { echo /debian/"$1"/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins; }

# compile VERSION: a later version is the one before it with its own files laid over.
compile() {
	dir=$libs/quay-$1
	mkdir -p "$dir/src" "$dir/ebin"
	cp "$here/1.0.0/"* "$dir/src/"
	cp "$here/$1/"* "$dir/src/"
	erlc +debug_info +deterministic -o "$dir/ebin" "$dir"/src/*.erl
	cp "$dir/src/quay.app.src" "$dir/ebin/quay.app"
	[ ! -f "$dir/src/quay.appup" ] || cp "$dir/src/quay.appup" "$dir/ebin/"
	rm -r "$dir/src"
}

old=$(plugins "$OLD")
new=$(plugins "$NEW")
cp -R "$old"/cowboy-* "$old"/cowlib-* "$old"/ranch-* "$new"/ranch-* "$libs/"
compile 1.0.0
compile 1.1.0
# escript takes what follows a file's name for the file's own.
escript "$here/release.escript" "$libs" "$1" "$(basename "$old"/ranch-*)" "$(basename "$new"/ranch-*)"
