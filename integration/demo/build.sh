#!/bin/sh
# Usage: [FULL=1] [VERSIONS="V..."] build.sh OUTDIR
#
# Builds demo-1.0.0.tar.gz, demo-1.1.0.tar.gz and demo-1.2.0.tar.gz with rebar3, the later ones with a
# relup from and to each release before. They are thin; with FULL=1 they bring the runtime along.
# A later version is the one before it, with the files of its directory laid over and those that
# REMOVED names taken away.
set -eu

VERSIONS=${VERSIONS:-1.0.0 1.1.0 1.2.0}
profile=${FULL:+full}
profile=${profile:-default}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export REBAR_OFFLINE=1 TERM=dumb

main() {
	mkdir -p "$1"
	before= # the versions before, latest first
	for version in $VERSIONS; do
		sources "$version" ${before%% *}
		rebar "$version" release
		[ -z "$before" ] || relup "$version" $before
		rebar "$version" tar
		cp "$(release "$version")/demo-$version.tar.gz" "$1/"
		before="$version${before:+ $before}"
	done
}

# sources VERSION [BEFORE]
sources() {
	mkdir "$work/$1"
	[ $# -eq 1 ] || (cd "$work/$2" && tar -c --exclude=_build .) | tar -x -C "$work/$1"
	cp -R "$here/$1/." "$work/$1"
	[ ! -f "$work/$1/REMOVED" ] || (cd "$work/$1" && xargs rm <REMOVED)
}

rebar() { (cd "$work/$1" && rebar3 as "$profile" "$2"); }

# relup VERSION BEFORE...
relup() {
	escript "$here/relup.escript" $(for v in "$@"; do release "$v"; done)
}

release() { echo "$work/$1/_build/$profile/rel/demo"; }

main "${1:?usage: build.sh OUTDIR}"
