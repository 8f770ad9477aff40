#!/bin/sh
# Usage: build.sh OUTDIR
#
# Builds LIBRARY/harbour-VERSION.tar.gz, of harbour and a library in a version that one of the Debians in /debian has.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
libs=$(mktemp -d)

main() {
	mkdir -p "$1" "$libs/harbour-1.0.0/ebin"
	erlc +debug_info +deterministic -o "$libs/harbour-1.0.0/ebin" "$here/harbour/harbour_use.erl"
	erlc +debug_info +deterministic -pa "$libs/harbour-1.0.0/ebin" -o "$libs/harbour-1.0.0/ebin" "$here"/harbour/*.erl
	cp "$here/harbour/harbour.app.src" "$libs/harbour-1.0.0/ebin/harbour.app"
	for library in aten cache_tab credentials_obfuscation jose mochiweb prometheus seshat; do
		for suite in bookworm trixie; do
			escript "$here/release.escript" "$1/$library" "$libs" "$library" $(directories "$suite" "$library")
		done
	done
}

# directories SUITE LIBRARY: where its ebin is, and that of another one that it needs.
directories() {
	case $2 in
	cache_tab) echo /debian/"$1"/usr/lib/erlang/lib/p1_cache_tab-* /debian/trixie/usr/lib/erlang/lib/p1_utils-* ;;
	mochiweb) echo /debian/"$1"/usr/lib/erlang/lib/mochiweb ;;
	*) echo /debian/"$1"/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/"$2"-* ;;
	esac
}

main "${1:?usage: build.sh OUTDIR}"
