#!/bin/bash
# What the original's tools wrote, we read to the same bytes.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/fixtures.bash"
need_reference
scratch 700

read_it() {
    local format
    format=$(format_of "$1")
    [ "$1" != raw_hole ] && [ "$1" != q_huge ] || return 0 # too long for cmp: limits.huge
    "$REF" convert -f "$format" -O raw "$1" theirs
    good "$IMG" convert -f "$format" -O raw "$1" ours || return 0
    cmp ours theirs || bad "$1: read otherwise"
    if [ "$1" != raw_odd ] && [ "$1" != raw_tiny ]; then
        good "$IMG" convert -O raw "$1" probed || return 0
        cmp ours probed || bad "$1: read otherwise when the format is guessed"
    fi
    good "$IMG" compare -q -f "$format" -F raw "$1" theirs || true
}

cd "$T"
materials
each read_it "$@"
finish
