#!/bin/sh
# Usage: unpack.sh DIR PACKAGE/SUITE...
#
# Unpacks Debian's packages, each into DIR/SUITE, whatever suite this machine has. Nothing is installed.
set -eu

into=$1
shift
chmod 1777 /tmp
cd "$(mktemp -d)"
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list* | head -n 1)
for suite in $(printf '%s\n' "$@" | cut -d/ -f2 | sort -u); do
	echo "deb $mirror $suite main" >"/etc/apt/sources.list.d/wanted-$suite.list"
	mkdir -p "$into/$suite"
done
apt-get update -qq
for wanted; do
	apt-get download -q "$wanted"
	dpkg -x ./*.deb "$into/${wanted#*/}"
	rm ./*.deb
done
rm -rf /var/lib/apt/lists/*
