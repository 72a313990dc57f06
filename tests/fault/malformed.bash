# Sourced by malformed-*.sh. Damaged and hostile qcow2: whatever a header or table entry says, the
# program reads it or refuses it with a message, in bounded time and memory, and never crashes. One
# good image is patched, one place a case; a build with sanitizers shows every access that strays.
# shellcheck shell=bash
need_reference
scratch 300
cd "$T"

pattern text 300000 >text.bin
"$REF" create -q -f qcow2 good 8M
"$REF_IO" -f qcow2 -c "write -s text.bin 64k 256k" -c "write -P 2 5M 200k" -c "write -z 7M 64k" \
    good >/dev/null
"$REF" snapshot -c s1 good
"$REF" bitmap --add good b0
"$REF_IO" -f qcow2 -c "write -P 3 6M 64k" good >/dev/null
"$REF_IO" -f qcow2 -c "write -c -s text.bin 2M 64k" good >/dev/null

l1=$(be good 40 8) refcounts=$(be good 48 8) snapshots=$(be good 64 8)
l2=$(($(be good "$l1" 8) & 0x00fffffffffffe00))
block=$(be good "$refcounts" 8)

# where the bitmap extension is, and what it points at
find_extension() {
    local at=$1 type length
    while type=$(be "$2" "$at" 4) && [ "$type" != 0 ]; do
        length=$(be "$2" $((at + 4)) 4)
        [ "$type" != "$((0x23852875))" ] || { echo $((at + 8)); return; }
        at=$((at + 8 + (length + 7) / 8 * 8))
    done
    fail "the image has no bitmap extension"
}
extension=$(find_extension "$(be good 100 4)" good)
directory=$(be good $((extension + 16)) 8)
bitmap_table=$(be good "$directory" 8)

# survive NAME: every reading subcommand on the patched image; 0 and the documented codes are fine,
# a signal, a sanitizer's report or an endless run are not.
survive() {
    local args
    for args in "info --output=json bad" "check bad" "convert -f qcow2 -O raw bad out" \
        "map --output=json bad" "measure -O qcow2 bad" "convert -l s1 -O raw bad out" \
        "convert --bitmaps -f qcow2 -O qcow2 bad out"; do
        # shellcheck disable=SC2086  # words
        try timeout -k 5 20 "$IMG" $args
        checked
        case $rc in
        0) ;;
        1 | 2 | 3 | 4 | 63) [ -s "$T/.err" ] || [ -s "$T/.out" ] || bad "$1: exit $rc without a word: $args" ;;
        124 | 137) bad "$1: runs on and on: $args" ;;
        *) bad "$1: exit $rc: $args: $(tail -n 3 "$T/.err")" ;;
        esac
        if grep -qE 'Sanitizer|runtime error|Assertion' "$T/.err"; then
            bad "$1: $args"
            head -n 12 "$T/.err" >&2
        fi
        rm -f out
    done
}

# damage NAME OFFSET HEX   (SAMPLES_EVERY=N: only each Nth is tried)
damage() {
    samples=$((${samples:-0} + 1))
    [ $((samples % ${SAMPLES_EVERY:-1})) = 0 ] || return 0
    cp good bad
    patch_bytes bad "$2" "$3"
    survive "$1 at $(($2)) = $3"
}

# each 8-byte entry of a table, with offsets that are odd, outside, onto the header, onto itself
entries() {
    local name=$1 at=$2 value
    for value in 0000000000000000 0000000000000001 8000000000000000 8000000000000200 \
        8000000000010000 8000000000fe0000 80fffffffffffe00 ffffffffffffffff 7fffffffffffffff \
        4000000000000000 4000000000050000 7fffffffffff0000 40000000ffffffff; do
        damage "$name" "$at" $value
    done
}
