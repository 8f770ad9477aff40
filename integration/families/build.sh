#!/bin/sh
# Usage: build.sh OUTDIR
#
# Builds FAMILY-1.0.0.tar.gz and FAMILY-1.1.0.tar.gz of each family, the later one with a relup from and to the earlier.
set -eu

VERSIONS="1.0.0 1.1.0"
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "${1:?usage: build.sh OUTDIR}" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export REBAR_OFFLINE=1 TERM=dumb

main() {
	rebar relx full
	rebar relx-thin thin
	rebar relx-src templates
	for version in $VERSIONS; do
		sources "$version" compiled
		(cd "$work/compiled/$version" && mkdir ebin && erlc +debug_info +deterministic -o ebin src/*.erl && cp src/tally.app.src ebin/tally.app &&
			if [ -f src/tally.appup ]; then cp src/tally.appup ebin/; fi)
	done
	for family in systools reltool; do
		mkdir "$work/$family"
		escript "$here/$family.escript" "$work/compiled" "$work/$family" $VERSIONS
		for version in $VERSIONS; do cp "$work/$family/tally-$version.tar.gz" "$out/$family-$version.tar.gz"; done
	done
}

# sources VERSION FAMILY: a later version is the one before it with its own files laid over.
sources() {
	mkdir -p "$work/$2/$1"
	for version in $VERSIONS; do
		cp -R "$here/tally/$version/." "$work/$2/$1/"
		[ "$version" != "$1" ] || break
	done
	cp "$here/rebar.config" "$here/tally/vm.args" "$work/$2/$1/"
	[ "$2" != relx-src ] || templates "$work/$2/$1"
	printf %s "$1" >"$work/$2/$1/VERSION"
}

# templates DIR: relx takes sys.config.src for sys.config wherever it finds one.
templates() {
	rm "$1/sys.config" "$1/vm.args"
	cp "$here"/tally/*.src "$1/"
}

# rebar FAMILY PROFILE
rebar() {
	before=
	for version in $VERSIONS; do
		sources "$version" "$1"
		(cd "$work/$1/$version" && rebar3 as "$2" release)
		[ -z "$before" ] || escript "$here/../demo/relup.escript" "$(tree "$1" "$2" "$version")" "$(tree "$1" "$2" "$before")"
		(cd "$work/$1/$version" && rebar3 as "$2" tar)
		cp "$(tree "$1" "$2" "$version")/tally-$version.tar.gz" "$out/$1-$version.tar.gz"
		before=$version
	done
}

tree() { echo "$work/$1/$3/_build/$2/rel/tally"; }

main
