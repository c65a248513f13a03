#!/usr/bin/env bash
# Run a command in the directory tree that install_swift.sh made. The checkout and the directory
# for temporary files are there under the same paths as outside, and nothing stays mounted.
#
#     in_swift_root.sh ROOT DIRECTORY COMMAND [ARGUMENT…]
set -euo pipefail

if [ "${1:-}" != --inside ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(--map-root-user)
    # Everything ends with this process, also when it is killed.
    exec unshare "${as_root[@]}" --mount --pid --fork --kill-child "$0" --inside "$@"
fi

root=$2 directory=$3
shift 3
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mount -t proc proc "$root/proc"
for shared in "$checkout" "${TMPDIR:-/tmp}" /dev; do
    mkdir -p "$root$shared"
    mount --rbind "$shared" "$root$shared"
done
exec chroot "$root" /usr/bin/env --chdir="$directory" -- "$@"
