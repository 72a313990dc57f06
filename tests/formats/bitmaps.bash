# Sourced after lib.sh and servers.sh: persistent bitmaps as the original sees them.
# shellcheck shell=bash

need_bitmaps() {
    need_reference
    need qemu-nbd nbdinfo jq
    at_exit+=(nbd_stop)
}

bitmap_list() {
    "$REF" info --output=json "$1" | jq -c '."format-specific".data.bitmaps // []'
}

# bitmaps_seen IMAGE: its list, and which parts of the disk each one that can be trusted names.
bitmaps_seen() {
    local list name names serve=()
    list=$(bitmap_list "$1")
    echo "$list"
    names=$(jq -r '.[] | select(.flags | index("in-use") | not) | .name' <<<"$list")
    [ -n "$names" ] || return 0
    for name in $names; do serve+=(-B "$name"); done
    nbd_serve_qemu -r -f qcow2 "${serve[@]}" "$1"
    for name in $names; do
        echo "$name:"
        nbdinfo --map="qemu:dirty-bitmap:$name" "$URI"
    done
    nbd_stop
}

# bitmaps_same WHAT A B: two images have the same ones.
bitmaps_same() {
    checked
    bitmaps_seen "$2" >"$T/.seen" && bitmaps_seen "$3" >"$T/.seen2"
    diff "$T/.seen" "$T/.seen2" >"$T/.diff" && return 0
    bad "$1: bitmaps differ"
    head -20 "$T/.diff" >&2
    return 1
}

# image_clean IMAGE: neither program finds a fault.
image_clean() {
    checked
    "$REF" check -q "$1" >/dev/null && "$IMG" check -q "$1" >/dev/null || bad "$1 is not clean"
}
