#!/bin/bash
# Damaged and hostile images: the original's words where it opens none, one line in any case.
. "$(dirname "$0")/../../lib.sh"
need_reference
need create_compressed_fs
scratch 100
cd "$T"

# hurt OFFSET HEX: refused by both in the same words, or read by neither
hurt() {
    local rc_ref=0
    cp good image
    patch_bytes image "$1" "$2"
    "$REF" info -f cloop image >theirs.out 2>theirs.err || rc_ref=$?
    try timeout -k 5 20 "$IMG" info -f cloop image
    checked
    sed -i "s/^$(basename "$IMG"): /qemu-img: /" "$T/.err"
    [ $rc = $rc_ref ] || bad "$*: exit $rc, not $rc_ref"
    cmp "$T/.err" theirs.err || bad "$*: $(cat "$T/.err")"
    [ $rc = 0 ] || return 0
    try timeout -k 5 20 "$IMG" convert -f cloop -O raw image out
    checked
    rm -f out
    [ $rc = "$3" ] || bad "$*: exit $rc"
    [ "$(wc -l <"$T/.err")" = "$3" ] || bad "$*: $(wc -l <"$T/.err") lines"
}

pattern text 300000 >raw
create_compressed_fs -q -B 65536 raw good >/dev/null 2>&1
for value in 00000000 00000001 000001ff 04000200 ffffffff; do
    hurt 128 $value
done
hurt 128 04000000 1
hurt 132 00000000 0
hurt 132 00000001 0
hurt 132 ffffffff
hurt 132 07ffffff
hurt 132 0000ffff
hurt 136 0000000000000000 1
hurt 136 ffffffffffffffff
hurt 144 0000000000000001
hurt 144 000000000f000001
hurt 144 ffffffffffffffff
hurt 250 ffffffff 1
# cut off: inside the table, and inside the last block
for size in 0 100 128 136; do
    head -c $size good >image
    try "$IMG" convert -f cloop -O raw image out
    checked
    [ $rc = 1 ] && [ "$(wc -l <"$T/.err")" = 1 ] || bad "cut to $size bytes: exit $rc"
done
head -c -100 good >image
try "$IMG" convert -f cloop -O raw image out
checked
[ $rc = 1 ] && [ "$(wc -l <"$T/.err")" = 1 ] || bad "without its end: exit $rc"
finish
