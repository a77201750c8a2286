#!/bin/sh
# Unpacks the C and C++ libraries of Debian 13 in the folder $1, for a program that Debian 12's are
# too old for. Nothing is installed, and root is not needed.
set -eu
. /etc/os-release
[ "${VERSION_CODENAME:-}" = bookworm ] || { echo "knows Debian 12 only" >&2; exit 1; }
mkdir -p "$1/lists/partial" "$1/packages"
cd "$1"
place=$PWD
# The machine's own sources, without those of updates, which need not exist for the next release.
awk 'BEGIN {RS = ""; ORS = "\n\n"} !/security/' /etc/apt/sources.list.d/debian.sources |
  sed 's/bookworm-updates//; s/bookworm/trixie/' > newer.sources
newer() {
  apt-get -qq -o "Dir::Etc::sourcelist=$place/newer.sources" -o Dir::Etc::sourceparts=- \
    -o "Dir::State::lists=$place/lists" "$@"
}
newer update
(cd packages && newer download libc6 libstdc++6 libgcc-s1)
for package in packages/*.deb; do dpkg-deb -x "$package" root; done
rm -rf lists packages
