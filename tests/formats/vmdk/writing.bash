# Sourced by the write-* tests: the subformats, and where files go.
# shellcheck shell=bash

subformats=(monolithicSparse monolithicFlat twoGbMaxExtentSparse twoGbMaxExtentFlat streamOptimized)
MIB=1048576
GIB=1073741824

# A sparse guest of SIZE bytes: text, noise, stored zeros, holes, data at its very end.
guest() {
    local f=$1 size=$2
    rm -f "$f"
    truncate -s "$size" "$f"
    local part
    for part in "0 text 700001 1" "$((3 * MIB)) zero $MIB 2" "$((5 * MIB + 65536)) noise 65536 3" \
        "$((9 * MIB - 3)) text 7 4" "$((33 * MIB + 512)) noise $((2 * MIB)) 5"; do
        # shellcheck disable=SC2086
        set -- $part
        [ $(($1 + $3)) -gt "$size" ] || put "$f" "$1" "$2" "$3" "$4"
    done
    [ "$size" -lt 512 ] || put "$f" $((size - 512)) text 512 6
}

# A fresh folder for the files of one image.
folder() {
    rm -rf "$1"
    mkdir -p "$1"
}
