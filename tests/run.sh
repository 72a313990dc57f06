#!/bin/sh
# sh tests/run.sh          install what is missing, build, run all tests
# sh tests/run.sh NAME...  only the tests whose name contains one of these
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/tests/packages.sh"

packages_install $BUILD_PACKAGES $TEST_PACKAGES $CLUSTER_PACKAGES
hosts_file
cmake -G Ninja -S "$top" -B "$top/build"
cmake --build "$top/build"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 HWLOC_HIDE_ERRORS=2
wanted=
for name; do
    quoted=$(printf '%s' "$name" | sed 's/[][\.*^$+?(){}|]/\\&/g')
    wanted=${wanted:+$wanted|}$quoted
done

# What a bare chroot lacks and tests need, for as long as they run: /proc, and a /dev/shm in memory.
mounted=
lend() { # lend TYPE FOLDER
    mkdir -p "$2" 2>/dev/null && mount -t "$1" "$1" "$2" 2>/dev/null && mounted="$2 $mounted"
}
[ -e /proc/self/mounts ] || lend proc /proc || true
[ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] || lend tmpfs /dev/shm || true
trap '[ -z "$mounted" ] || umount -l $mounted' EXIT

cd "$top/build"
ctest --output-on-failure --no-tests=error -j "$(nproc)" ${wanted:+-R "$wanted"}
