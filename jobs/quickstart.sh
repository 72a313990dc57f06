#!/bin/sh
# From a bare Debian to a converted image: installs what building needs, builds, makes a sample
# disk, converts it on three ranks and checks the result. Takes a minute or two the first time.
#
#   sh jobs/quickstart.sh        as root, or as a user who may use sudo
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}
# shellcheck source-path=SCRIPTDIR/.. source=tests/packages.sh
. "$top/tests/packages.sh"

step() {
    printf '\n== %s\n' "$*"
}

# Show a command as one would type it, then run it.
run() {
    printf '$ %s\n' "$*"
    "$@"
}

step "1. build"
# shellcheck disable=SC2086  # a list of words
packages_install $BUILD_PACKAGES
hosts_file
[ -e "$build/CMakeCache.txt" ] || cmake -G Ninja -S "$top" -B "$build"
cmake --build "$build"
PATH=$build:$PATH

step "2. a sample disk of 1 GiB: the programs of this machine at its start, the rest empty"
work=$(mktemp -d "${TMPDIR:-/var/tmp}/mpi-img-quickstart.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
tar -cf - /usr/bin /usr/lib/*-linux-gnu 2>/dev/null | head -c 200000000 >disk.raw || true
truncate -s 1G disk.raw
ls -lsh disk.raw

step "3. convert it on this machine, with all its cores"
run mpi-img convert -f raw -O qcow2 -c disk.raw one.qcow2

step "4. the same on three ranks, as on three nodes"
# Open MPI wants to be told that root means it.
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
run mpirun -n 3 --oversubscribe mpi-img convert -f raw -O qcow2 -c disk.raw three.qcow2

step "5. the bytes are the same, the image is sound, the data is what went in"
run cmp one.qcow2 three.qcow2
run mpi-img check three.qcow2
run mpi-img compare -f raw -F qcow2 disk.raw three.qcow2
run mpi-img info three.qcow2

cat <<TEXT

All well. The program is $build/mpi-img; called as qemu-img (a link stands beside it) it
takes the place of that one. To go on:

    mpi-img convert -p -O qcow2 DISK.raw DISK.qcow2            one machine
    mpirun -n 8 mpi-img convert -O raw DISK.qcow2 DISK.raw     several ranks
    sbatch $top/jobs/slurm-one.sbatch DISK.qcow2 DISK.raw -O raw
    mpi-img convert --help                                     all options
    sh $top/tests/run.sh                                       the tests
TEXT
