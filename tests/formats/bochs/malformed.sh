#!/bin/bash
# Damaged and hostile images: the original's words where it opens none, one line in any case.
. "$(dirname "$0")/../../lib.sh"
need_reference
scratch 100
cd "$T"

# both OFFSET HEX: refused by both in the same words
both() {
    local rc_ref=0
    cp good image
    patch_bytes image "$1" "$2"
    "$REF" info -f bochs image >theirs.out 2>theirs.err || rc_ref=$?
    try timeout -k 5 20 "$IMG" info -f bochs image
    checked
    sed -i "s/^$(basename "$IMG"): /qemu-img: /" "$T/.err"
    [ $rc = $rc_ref ] || bad "$*: exit $rc, not $rc_ref"
    cmp "$T/.err" theirs.err || bad "$*: $(cat "$T/.err")"
}

# ours OFFSET HEX WORDS: refused when it is opened or read
ours() {
    cp good image
    patch_bytes image "$1" "$2"
    try timeout -k 5 20 "$IMG" convert -f bochs -O raw image out
    checked
    rm -f out
    [ $rc = 1 ] || bad "$*: exit $rc"
    [ "$(wc -l <"$T/.err")" = 1 ] || bad "$*: $(wc -l <"$T/.err") lines"
    grep -qF -- "$3" "$T/.err" || bad "$*: but $(cat "$T/.err")"
}

pattern text 300032 >raw
perl "$TESTS/formats/bochs/make-redolog" good raw
for at in 2 22 34 39 50 55; do
    both $at 58
done
both 64 00000300
both 72 00000000
both 72 01001000
for value in 00000000 00010000 00030000 00000001 ffffffff; do
    both 80 $value
done
for value in ffffffffffffffff ffffffffffffff7f 0000000000010000; do
    both 88 $value
done
both 88 0000000000000000
ours 68 ffffffff "Could not read the catalog: Input/output error"
ours 72 00001000 "Could not read the catalog: Input/output error"
ours 76 00000000 "Bitmap size 0 does not fit an extent of 65536 bytes"
ours 76 ffffffff "Bitmap size 4294967295 does not fit an extent of 65536 bytes"
ours 512 feffffff "Input/output error"
ours 516 ffff0000 "Input/output error"
for size in 0 67 68 100 512 520; do
    head -c $size good >image
    try "$IMG" convert -f bochs -O raw image out
    checked
    [ $rc = 1 ] && [ "$(wc -l <"$T/.err")" = 1 ] || bad "cut to $size bytes: exit $rc"
done
head -c -100000 good >image
try "$IMG" convert -f bochs -O raw image out
checked
[ $rc = 1 ] && [ "$(wc -l <"$T/.err")" = 1 ] || bad "without its end: exit $rc"
finish
