#!/bin/sh
# Usage: build.sh OUTDIR
#
# Builds mixdemo-1.0.0.tar.gz and mixdemo-1.1.0.tar.gz, the later one with a relup, of each kind of Mix release: OUTDIR/stock,
# OUTDIR/plain (no runtime.exs), OUTDIR/umbrella and OUTDIR/castle. 1.1.0 is 1.0.0 with the files of its directory laid over.
set -eu
export MIX_ENV=prod

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

main() {
	for kind in stock plain umbrella castle; do
		mkdir -p "$1/$kind"
		before=
		for version in 1.0.0 1.1.0; do
			tree=$work/$kind-$version
			sources "$kind" "$version" "$tree"
			(cd "$tree" && RELUP_FROM=$before mix release --quiet)
			cp "$tree/_build/prod/mixdemo-$version.tar.gz" "$1/$kind/"
			before=$tree/_build/prod/rel/mixdemo
		done
	done
}

# sources KIND VERSION TREE
sources() {
	cp -R "$here/project" "$3"
	[ "$2" = 1.0.0 ] || cp -R "$here/$2/." "$3"
	case $1 in
	plain) rm "$3/config/runtime.exs" ;;
	umbrella)
		rm "$3/mix.exs"
		cp -R "$here/umbrella/." "$3"
		mv "$3/lib" "$3/apps/mixdemo/lib"
		;;
	castle)
		cp -R "$here/castle" "$3/castle"
		sed -i 's|^Code.require_file.*|&\nCode.require_file("castle/castle.exs", __DIR__)|
			s|\[:assemble, |[\&Castle.before/1, :assemble, \&Castle.step/1, |' "$3/mix.exs"
		;;
	esac
}

main "${1:?usage: build.sh OUTDIR}"
