#!/bin/bash
# Damaged and hostile headers and tables: refused in one line, read, or left alone; no crash.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/qcow/common.bash"
need_reference
scratch 300
cd "$T"
small good
pattern text 100000 | dd of=packed.source bs=1M status=none
"$IMG" convert -c -f raw -O qcow packed.source packed

# header TEXT OFFSET HEX...: not opened, and why.
header() {
    local text=$1
    shift
    cp good bad
    while [ $# -gt 0 ]; do
        patch_bytes bad "$1" "$2"
        shift 2
    done
    refused "$text" info -f qcow bad
    grep -q "$text" "$T/.err" || bad "other words: $(cat "$T/.err")"
    refused "$text" convert -f qcow -O raw bad out
    refused "$text" compare -s -f qcow bad bad || true
}
# compare has an exit code of its own for what cannot be opened
refused() {
    local what=$1
    shift
    try timeout 20 "$IMG" "$@"
    checked
    if [ "$1" = compare ]; then [ $rc = 2 ]; else [ $rc = 1 ]; fi || bad "$what: exit $rc: $*"
    [ "$(grep -vc "^Try the \|^The unfinished output" "$T/.err")" = 1 ] || bad "$what: $(cat "$T/.err")"
}
header "Image not in qcow format" 0 514649fa
for version in 00000000 00000002 00000003 ffffffff; do
    header "qcow (v1) does not support qcow version" 4 $version
done
for bits in 00 06 08 11 14 ff; do
    header "Cluster size must be between 512 and 64k" 32 $bits
done
for bits in 00 05 0e 1f ff; do
    header "L2 table size must be between 512 and 64k" 33 $bits
done
for method in 00000002 ffffffff; do
    header "invalid encryption method in qcow header" 36 $method
done
for size in 0000000000000000 0000000000000001; do
    header "Image size is too small" 24 $size
done
for size in ffffffffffffffff 1000000000000000 0004000000000000; do
    header "Image too large" 24 $size
done
header "First-level table" 24 0000100000000000
for place in 000000000002c000 00000000fffffff8 8000000000000000 fffffffffffffff8; do
    header "First-level table" 40 $place
done
header "Backing file name too long" 8 0000000000000030 16 00000400
header "Invalid backing file offset" 8 0000000000ffffff 16 00000004
header "Invalid backing file offset" 8 ffffffffffffffff 16 000003ff
for length in 0 4 8; do
    head -c $length good >bad
    refused "$length bytes" info -f qcow bad
done
for length in 40 48 300 4095; do
    head -c $length good >bad
    survives "$length bytes" info -f qcow bad
    survives "$length bytes" convert -f qcow -O raw bad out
done

# entries
entry() {
    local image=$1 args
    cp "$image" bad
    big bad "$2" "$3"
    for args in "map --output=json" map "convert -O raw" "compare -s"; do
        # shellcheck disable=SC2086
        case $args in
        convert*) survives "$image $2 = $3" $args -f qcow bad out ;;
        compare*) survives "$image $2 = $3" $args -f qcow bad "$image" ;;
        *) survives "$image $2 = $3" $args -f qcow bad ;;
        esac
    done
}
for image in good packed; do
    for at in 0x30 0x1008; do
        for value in 1 30 800 1000 b800 2b800 1000000 7fffffffffffffff 8000000000000000 \
            8000000000002000 8150000000002000 ffffffffffffffff fff8000000000000 7ffffffffffff000; do
            entry $image $at $value
        done
    done
done

# an encoded block that is cut, or is none
cp packed bad
patch_bytes bad 0x2000 ffffffffffffffffffffffffffffffffffff
refused "damaged stream" convert -f qcow -O raw bad out
truncate -s 8193 bad
refused "cut stream" convert -f qcow -O raw bad out
finish
