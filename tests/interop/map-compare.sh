#!/bin/bash
# compare and map give the original's verdicts, offsets, lines and exit codes: on every fixture
# against itself, a copy in another format, copies that differ here and there, images of another
# size, damaged ones; whatever the number of threads and ranks.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/fixtures.bash"
need_reference
scratch 900

# ours runs with each of these
workers=("")
is_reference || workers=("--threads=1" "--threads=3")

# ours ARGS...: one answer of ours, equal to the original's in theirs.*.
ours() {
    try "$IMG" "$@"
    checked
    sed -i "s/^$(basename "$IMG"): /qemu-img: /" "$T/.err"
    [ $rc = "$rc_ref" ] || bad "exit $rc, not $rc_ref: $*"
    cmp -s theirs.out "$T/.out" || differs stdout "$*" theirs.out "$T/.out"
    # what a driver says of damage in an image goes before the error there and behind it here
    grep '^qemu-img: ' theirs.err >theirs.said || true
    grep '^qemu-img: ' "$T/.err" >our.said || true
    cmp -s theirs.said our.said || differs stderr "$*" theirs.said our.said
}

differs() {
    bad "other $1: $2"
    diff -u "$3" "$4" | head -n 20 >&2
}

# alike COMMAND ARGS...: both programs, one answer.
alike() {
    local n command=$1
    shift
    rc_ref=0
    "$REF" "$command" "$@" >theirs.out 2>theirs.err </dev/null || rc_ref=$?
    for n in "${workers[@]}"; do
        ours "$command" ${n:+"$n"} "$@"
    done
}

both_ways() { # FORMAT IMAGE FORMAT IMAGE
    alike compare -f "$1" -F "$3" "$2" "$4"
    alike compare -s -f "$1" -F "$3" "$2" "$4"
    alike compare -f "$3" -F "$1" "$4" "$2"
    alike compare -s -f "$3" -F "$1" "$4" "$2"
}

# poke FORMAT IMAGE OFFSET: one byte becomes another.
poke() {
    io "$1" "$2" "write -P 0xd7 $3 1"
}

# -- every fixture ---------------------------------------------------------------------------------

size_of() {
    "$REF" info --output=json -f "$1" "$2" | perl -ne 'print $1 if /"virtual-size": (\d+)/'
}

walk_maps() {
    alike map -f "$2" "$1"
    alike map --output=json -f "$2" "$1"
    alike map --output=json -s 1000 -l 5M -f "$2" "$1"
    alike map -s 20971519 -l 31M -f "$2" "$1"
    alike map --output=json -s 5T -f "$2" "$1"
}

walk_copies() {
    local name=$1 f=$2 size at
    size=$(size_of "$f" "$name")
    "$REF" convert -f "$f" -O raw "$name" copy.raw
    "$REF" convert -f "$f" -O qcow2 -c -o cluster_size=4k "$name" copy.packed
    both_ways "$f" "$name" raw copy.raw
    alike compare -s -f "$f" -F qcow2 "$name" copy.packed
    for at in $((size - 1)) $((size / 2 + 700)) 12345; do
        [ "$at" -ge 0 ] && [ "$at" -lt "$size" ] || continue
        poke raw copy.raw "$at"
        alike compare -f "$f" -F raw "$name" copy.raw
    done
}

walk_it() {
    local f
    f=$(format_of "$1")
    walk_maps "$1" "$f"
    alike compare -s -f "$f" -F "$f" "$1" "$1"
    case $1 in
    raw_hole | q_huge) ;; # too long for a copy
    *) walk_copies "$1" "$f" ;;
    esac
}

# -- what needs an image of its own ----------------------------------------------------------------

other_sizes() {
    create raw a 1M
    create raw b 3M
    both_ways raw a raw b
    poke raw b 2500000
    both_ways raw a raw b
    poke raw b 100
    both_ways raw a raw b
    pattern text 100001 >odd
    cp odd odd.more
    printf x >>odd.more
    both_ways raw odd raw odd.more
    create raw none 0
    both_ways raw none raw none
    both_ways raw none raw a
    create qcow2 huge 8T
    create raw huge.raw 64T
    both_ways qcow2 huge raw huge.raw
    rm -f -- *
}

# What -s looks at: kinds, places, how far an answer goes.
strict_rules() {
    local write
    for write in "write -z 1M 64k" "write -P 0 1M 64k" "write -P 1 1M 64k" "write -P 0 0 4M" \
        "write -z 0 4M" "discard 1M 64k" "write -z 700M 64k" "write -P 0 3900M 64k"; do
        rm -f a b
        create qcow2 a 4G
        io qcow2 a "write -P 1 2M 64k"
        cp a b
        io qcow2 b "$write"
        both_ways qcow2 a qcow2 b
    done
    rm -f a b
    create qcow2 a 1M
    create qcow2 b 1M
    io qcow2 a "write -P 1 0 1M"
    io qcow2 b "write -P 1 512k 512k" "write -P 1 0 512k"
    both_ways qcow2 a qcow2 b
    cp b c
    both_ways qcow2 b qcow2 c
    rm -f -- *
}

# The place of an L2 entry in the file.
entry_of() { # IMAGE CLUSTER
    local l1 l2
    l1=$(be "$1" 40 8)
    l2=$(($(be "$1" "$l1" 8) & 0xfffffffffffe00))
    echo $((l2 + 8 * $2))
}

damage() {
    local at
    create raw same 8M
    io raw same "write -P 1 0 8M"
    create qcow2 crooked 8M
    io qcow2 crooked "write -P 1 0 8M"
    at=$(entry_of crooked 51)
    patch_bytes crooked $((at + 6)) 02
    both_ways qcow2 crooked raw same
    alike map --output=json crooked
    alike map crooked
    poke raw same 3248000 # before the damage: a difference is met first
    both_ways qcow2 crooked raw same

    rm same crooked
    create raw same 8M
    io raw same "write -P 1 0 8M"
    "$REF" convert -c -f raw -O qcow2 same broken
    at=$(entry_of broken 51)
    patch_bytes broken $(($(be broken "$at" 8) & 0x3fffffffffffff)) ffffffffffffffffffff
    alike compare -f qcow2 -F raw broken same
    alike compare -f raw -F qcow2 same broken
    poke raw same 3342335
    alike compare -f qcow2 -F raw broken same
    rm -f -- *
}

openings() {
    create qcow2 a 1M
    create raw b 1M
    alike compare missing a
    alike compare a missing
    alike compare -f qcow2 b a
    alike compare -f nonsense a b
    alike compare -F nonsense a b
    alike map missing
    alike map -f qcow2 b
    rm -f -- *
}

# Ranks share one answer.
on_ranks() {
    local n
    command -v mpirun >/dev/null && ! is_reference || return 0
    chain_three
    "$REF" convert -O raw chain_three copy
    "$REF" map --output=json chain_three >theirs.map
    for n in 2 3; do
        try ranks "$n" "$IMG" map --output=json --threads 2 chain_three
        checked
        cmp -s theirs.map "$T/.out" || bad "$n ranks: another map"
        try ranks "$n" "$IMG" compare --threads 2 -F raw chain_three copy
        checked
        [ "$rc $(cat "$T/.out")" = "0 Images are identical." ] || bad "$n ranks: not identical"
    done
    poke raw copy 40000000
    try ranks 3 "$IMG" compare --threads 2 -F raw chain_three copy
    checked
    [ "$(cat "$T/.out")" = "Content mismatch at offset $((40000000 / 512 * 512))!" ] ||
        bad "3 ranks: $(cat "$T/.out")"
    rm -rf -- *
}

cd "$T"
materials
each walk_it "$@"
mkdir "$T/own"
cd "$T/own"
ln -s ../noise.bin ../text.bin .
if [ $# = 0 ]; then
    on_ranks
    other_sizes
    strict_rules
    damage
    openings
fi
finish
