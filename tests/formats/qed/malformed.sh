#!/bin/bash
# Damaged and hostile headers and tables: refused in one line, read, or left alone; no crash.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/qed/common.bash"
need_reference
scratch 50
cd "$T"
small good

# header TEXT OFFSET HEX...: not opened, and why.
header() {
    local text=$1
    shift
    cp good bad
    while [ $# -gt 0 ]; do
        patch_bytes bad "$1" "$2"
        shift 2
    done
    refused "$text" info -f qed bad
    grep -q "$text" "$T/.err" || bad "other words: $(cat "$T/.err")"
    refused "$text" convert -f qed -O raw bad out
    refused "$text" check -f qed -r all bad
}
header "Image not in QED format" 0 51454445
for value in 00000000 00080000 01100000 00300000 00000008 ffffffff; do
    header "QED cluster size is invalid" 4 $value
done
for value in 00000000 03000000 11000000 20000000 ffffffff; do
    header "QED table size is invalid" 8 $value
done
for value in 02000000 ffffffff; do
    header "QED table offset is invalid" 12 $value
done
for bit in 0800000000000000 0000000000000080; do
    header "Unsupported QED features" 16 $bit
done
for value in 0000000000000000 0100000000000000 0018000000000000 0010020000000000 0020020000000000 \
    0000000000000080 00f0ffffffffffff; do
    header "QED table offset is invalid" 40 $value
done
for value in 0100000000000000 0100000400000000 00020000000000ff ffffffffffffffff; do
    header "QED image size is invalid" 48 $value
done
for place in "00100000 01000000" "40000000 c10f0000" "f0ffffff 20000000" "ff0f0000 ffffffff"; do
    header "QED backing filename offset is invalid" 16 01 56 ${place% *} 60 ${place#* }
done

# short files
for length in 0 3 4 63 64 4095 4096 12287; do
    head -c $length good >bad
    refused "$length bytes" info -f qed bad
done

# entries: every use of one that leads nowhere
entry() {
    cp good bad
    le bad "$1" "$2"
    for args in "map --output=json" "convert -O raw" "compare -s" check "check -r all"; do
        case $args in
        convert*) survives "$1 = $2" $args -f qed bad out ;;
        compare*) survives "$1 = $2" $args -f qed bad good ;;
        *) survives "$1 = $2" $args -f qed bad ;;
        esac
    done
    survives "$1 = $2, repaired" convert -f qed -O raw bad out
    [ $rc = 0 ] || bad "$1 = $2: cannot be read after the repair"
}
for at in 0x1008 0x8008; do
    for value in 2 3 fff 800 22000 21800 7ffffffffffff000 8000000000000000 fffffffffffff000 \
        ffffffffffffffff; do
        entry $at $value
    done
done

# a file that is said to be long, all hole
cp good bad
truncate -s 1T bad
survives "long" check -q bad
survives "long" map bad
truncate -s 4E bad 2>/dev/null && survives "longer" check -q bad
finish
