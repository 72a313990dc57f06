#!/bin/bash
# qcow2 with damaged tables: L1, L2, refcounts, snapshots, bitmaps.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/malformed.bash"

entries "L1" "$l1"
entries "L2, plain" $((l2 + 8))
entries "L2, packed" $((l2 + 32 * 8))
entries "refcount table" "$refcounts"
entries "snapshot's L1 offset" "$snapshots"
entries "bitmap directory" "$directory"
entries "bitmap table" "$bitmap_table"
for at in 8 12 14 16 20 32 36; do
    for value in 00000000 ffffffff 7fffffff 00010001; do
        damage "snapshot" $((snapshots + at)) $value
        damage "bitmap" $((directory + at)) $value
    done
done
for i in 0 2 4 6 8 10 12; do
    damage "refcount" $((block + i)) ffff
    damage "refcount" $((block + i)) 0000
done

finish
