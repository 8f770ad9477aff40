#!/bin/sh
# Usage: build.sh OTP        (25, 27 or 29)
#
# Provides the base images of Dockerfile.example: golang:1.26, erlang:OTP and erlang:OTP-slim.
# An image that is there is kept; else it is pulled; where no registry answers, one of the same
# name is made from Debian packages and, for Go, from the host's own GOROOT.
set -eu

GO_IMAGE=golang:1.26
GO_SUITE=trixie
CERTIFICATES=/etc/ssl/certs/ca-certificates.crt
HOST_CERTS=/etc/ssl/certs/ca-certificates.crt
MIRROR=${DEBIAN_MIRROR-} # mmdebstrap knows one for each suite
here=$(cd "$(dirname "$0")" && pwd)

main() {
	case ${1-} in
	25) suite=bookworm ;;
	27) suite=trixie ;;
	29) suite=sid ;;
	*) die "usage: build.sh OTP, where OTP is 25, 27 or 29" ;;
	esac
	provide "erlang:$1-slim" erlang_image slim
	provide "erlang:$1" erlang_image full
	provide "$GO_IMAGE" go_image
}

# provide IMAGE MAKER ARGS... runs the maker only where the image is neither here nor to be had.
provide() {
	image=$1
	shift
	if present "$image"; then
		say "$image: present"
	elif timeout 600 docker pull -q "$image" >/dev/null 2>&1; then
		say "$image: pulled"
	else
		say "$image: no registry has it, making it from Debian packages"
		"$@"
	fi
}

# erlang_image STAGE makes $image from one stage of the Dockerfile beside this script.
erlang_image() {
	debian_image "$suite"
	docker build -q -t "$image" --target "$1" --build-arg SUITE="$suite" - <"$here/Dockerfile" >/dev/null
}

# go_image makes $image from the Go of this machine and the authorities it trusts, since a module proxy
# may be known to this machine alone. There is no C compiler: the agent needs none.
go_image() {
	goroot=$(go env GOROOT) || die "cannot make $image: no go on this machine"
	[ -f "$CERTIFICATES" ] || die "cannot make $image: no $CERTIFICATES on this machine"
	debian_image "$GO_SUITE"
	container=$(docker create "debian:$GO_SUITE-slim" true)
	trap 'docker rm "$container" >/dev/null' EXIT
	tar -ch -C / --transform="s,^${goroot#/},usr/local/go," "${goroot#/}" "${CERTIFICATES#/}" |
		docker cp - "$container:/"
	docker commit \
		--change 'ENV GOPATH=/go GOTOOLCHAIN=local PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
		--change 'WORKDIR /go' --change 'CMD ["go", "version"]' "$container" "$image" >/dev/null
}

# debian_image SUITE makes debian:SUITE-slim, the common ground of the others.
debian_image() {
	present "debian:$1-slim" && return
	need_mmdebstrap
	say "debian:$1-slim: bootstrapping"
	tarball=$(mktemp --suffix=.tar)
	mmdebstrap --quiet --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' "$1" "$tarball" ${MIRROR:+"$MIRROR"}
	docker import "$tarball" "debian:$1-slim" >/dev/null
	rm "$tarball"
}

need_mmdebstrap() {
	command -v mmdebstrap >/dev/null && return
	"$here/../../scripts/apt-install" mmdebstrap
}

present() { docker image inspect "$1" >/dev/null 2>&1; }
say() { echo "build.sh: $*" >&2; }
die() { say "$*"; exit 1; }

main "$@"
