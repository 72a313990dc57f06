#!/bin/bash
# One image whatever the number of threads and ranks, also where it is several files.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/writing.bash"
need_mpi
need_reference
scratch 500
cd "$T"
export MPI_IMG_SEED=7

guest small $((36 * MIB + 5 * 512 + 77))
cp small large
truncate -s $((2 * GIB + 70 * MIB + 512)) large
put large $((2 * GIB - 3 * MIB)) text $((5 * MIB)) 9
put large $((2 * GIB + 70 * MIB)) noise 512 10

# run NAME CMD...: its files must be those of the first run
run() {
    local name=$1
    shift
    folder "out"
    good "$@" "$source" out/disk.vmdk || return 0
    if [ -e first ]; then
        diff -rq first out || bad "$name: other bytes"
    else
        mv out first
    fi
}

# everywhere NAME ARGS...: convert $source with ARGS
everywhere() {
    local name=$1
    shift
    rm -rf first
    run "$name, 1 thread" "$IMG" convert -f raw -O vmdk "$@" --threads 1
    run "$name, 4 threads" "$IMG" convert -f raw -O vmdk "$@" --threads 4
    run "$name, 3 ranks" ranks 3 "$IMG" convert -f raw -O vmdk "$@" --threads 2
    "$REF" compare -q -f raw -F vmdk "$source" first/disk.vmdk || bad "$name: the content differs"
}

source=small
for s in "${subformats[@]}"; do
    everywhere "$s" -o "subformat=$s"
    everywhere "$s -S 0" -S 0 -o "subformat=$s"
done
for level in 1 2 3 9; do
    everywhere "level $level" -o subformat=streamOptimized --compression-level "$level"
done
source=large
for s in twoGbMaxExtentSparse twoGbMaxExtentFlat; do
    everywhere "$s, two extents" -o "subformat=$s"
done
finish
