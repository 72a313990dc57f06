#!/bin/bash
# qcow2 with a damaged header or header extension.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/malformed.bash"

# each 4-byte field of the header, at the ends of its range
header() {
    local at value
    for at in 0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 60 64 68 72 76 80 84 88 92 96 100 104; do
        for value in 00000000 00000001 0000ffff 7fffffff 80000000 ffffffff; do
            damage header $at $value
        done
    done
}

extensions() {
    local at=$((extension - 8)) value
    for value in 00000001 00000017 ffffffff 7fffffff 00010000; do
        damage "extension length" $((at + 4)) $value
        damage "bitmap count" "$extension" $value
        damage "bitmap directory size" $((extension + 12)) $value
    done
    entries "bitmap directory offset" $((extension + 16))
    damage "unknown extension" $at 12345678
    damage "backing format without a name" $at e2792aca
    damage "data file name" $at 44415441
    damage "backing name that is not there" 8 000000000000020000000010
    damage "backing name outside" 8 00000000000fff0000000010
    damage "backing name of 64 KiB" 8 000000000000020000010000
    damage "a name that is the image itself" 512 "$(printf bad | od -An -tx1 | tr -d ' ')"
}

header
extensions
finish
