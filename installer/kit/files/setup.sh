#!/bin/sh
# A stick's file system often allows no execution: the setup program is copied
# away from it first.
set -eu
kit=$(cd "$(dirname "$0")" && pwd)
case $(uname -m) in
x86_64) pc=linux-amd64 ;;
i?86) pc=linux-386 ;;
aarch64) pc=linux-arm64 ;;
*) pc=linux-$(uname -m) ;;
esac
[ -f "$kit/$pc/tram-setup" ] || pc=linux-386
away=$(mktemp -d)
trap 'rm -f "$away/tram-setup"; rmdir "$away"' EXIT
cp "$kit/$pc/tram-setup" "$away/tram-setup"
chmod 0700 "$away/tram-setup"
"$away/tram-setup" install --kit "$kit" "$@"
