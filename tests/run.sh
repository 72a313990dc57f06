#!/bin/sh
# sh tests/run.sh          install what is missing, build, run all tests
# sh tests/run.sh NAME...  only the tests whose name contains one of these
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/tests/packages.sh"

packages_install $BUILD_PACKAGES $TEST_PACKAGES
hosts_file
cmake -G Ninja -S "$top" -B "$top/build"
cmake --build "$top/build"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 HWLOC_HIDE_ERRORS=2
wanted=
for name; do
    quoted=$(printf '%s' "$name" | sed 's/[][\.*^$+?(){}|]/\\&/g')
    wanted=${wanted:+$wanted|}$quoted
done

# A bare chroot has no /dev/shm in memory, which tests like for their files.
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" != tmpfs ] && mkdir -p /dev/shm 2>/dev/null &&
    mount -t tmpfs tmpfs /dev/shm 2>/dev/null; then
    trap 'umount -l /dev/shm' EXIT
fi

cd "$top/build"
ctest --output-on-failure --no-tests=error -j "$(nproc)" ${wanted:+-R "$wanted"}
