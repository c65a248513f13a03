#!/usr/bin/env bash
# Swift 6 and ONNX Runtime's C headers for a Linux machine whose distribution has neither: Debian 13
# in a directory of its own, about one minute and 3 GB. Needs root; `scripts/in_swift_root.sh` uses
# it. A machine with `swift` and the headers of its own needs none of this.
set -euo pipefail

root=${1:-${ORTLAB_SWIFT_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/ortlab/swift}}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
packages=(swiftlang libonnxruntime-dev libc6-dev libstdc++-14-dev g++ git ca-certificates)

if [ -e "$root/.ready" ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "cannot install Swift into $root: debootstrap needs root. Run: sudo $0 $root" >&2
    exit 1
fi
command -v debootstrap >/dev/null || {
    apt-get -qq update
    apt-get -qq install --yes --no-install-recommends debootstrap
}

# Packages come from where this machine gets its own.
# shellcheck disable=SC2016  # apt's own format, not the shell's
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1)
if [ -z "$mirror" ]; then
    echo "cannot install Swift into $root: apt names no source of packages" >&2
    exit 1
fi

rm -rf "$root"
mkdir -p "$root"
debootstrap --variant=minbase trixie "$root" "$mirror" >"$root.log" 2>&1 || {
    tail -n 5 "$root.log" >&2
    exit 1
}
"$here/in_swift_root.sh" "$root" / env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --yes --no-install-recommends "${packages[@]}" >>"$root.log" 2>&1 || {
    tail -n 5 "$root.log" >&2
    exit 1
}
rm -rf "$root"/var/cache/apt/archives/*.deb
touch "$root/.ready"
