#!/bin/bash
# amend: afterwards the image passes the original's check, reads as before in every state, and info
# shows what it shows after the same amend by the original. Random images: clusters of data, packed,
# of zeros with and without a place, snapshots that share them, a backing image.
#
#   SEED=7 ROUNDS=100 bash tests/formats/qcow2/amend.sh
. "$(dirname "$0")/../../lib.sh"
need_reference
need jq perl
scratch 200
SEED=${SEED:-1} ROUNDS=${ROUNDS:-4}

# The same numbers on every run.
draw() {
    SEED=$(((SEED * 1103515245 + 12345) & 0x7fffffff))
    drawn=$((SEED / 65536 % $1))
}

pick() {
    draw $#
    shift "$drawn"
    picked=$1
}

# One random change by qemu-io.
write_one() {
    local at length
    draw 64
    at=$((drawn * 16))
    draw 12
    length=$((drawn * 16 + 16))
    [ $((at + length)) -le 1024 ] || length=$((1024 - at))
    draw 255
    pick "write -P $((drawn + 1))" "write -P $((drawn + 1))" "write -z" "write -zu" discard "$packed"
    case $picked in
    "write -c"*) at=$((at / 64 * 64)) length=64 ;;
    esac
    echo "$picked ${at}k ${length}k"
}

writes() {
    local i commands=()
    for ((i = 0; i < $1; i++)); do
        write_one >"$T/one"
        commands+=(-c "$(cat "$T/one")")
        draw 1000
    done
    "$REF_IO" "${commands[@]}" "$T/a.qcow2" >/dev/null 2>&1 || true
}

# build OPTIONS: an image with two generations of snapshots.
build() {
    local n snapshots backing=()
    rm -f "$T/a.qcow2"
    draw 2
    [ "$drawn" = 0 ] || backing=(-b "$T/base.raw" -F raw)
    "$REF" create -q -f qcow2 -o "$1" "${backing[@]}" "$T/a.qcow2" 1M
    packed="write -c -P 9"
    draw 8
    writes $((drawn + 1))
    draw 3
    snapshots=$drawn
    for ((n = 0; n < snapshots; n++)); do
        "$REF" snapshot -c "s$n" "$T/a.qcow2"
        writes 3
    done
}

# Every state of an image as raw files NAME.*
states() {
    local s
    "$REF" convert -O raw "$1" "$2.active"
    for s in $("$REF" info --output=json "$1" | jq -r '.snapshots[]?.name'); do
        "$REF" convert -l "$s" -O raw "$1" "$2.$s"
    done
}

# What info shows, but for what amend leaves to the program (bytes taken).
shown() {
    "$REF" info --output=json "$1" | jq -S 'del(.["actual-size"], .filename, .children)'
}

# amend_both WHAT OPTIONS: the image a.qcow2, by us, and a copy by the original.
amend_both() {
    local f want
    cp "$T/a.qcow2" "$T/b.qcow2"
    cp "$T/a.qcow2" "$T/before.qcow2"
    rm -f "$T"/was.* "$T"/is.*
    states "$T/a.qcow2" "$T/was"
    try "$REF" amend -o "$2" "$T/b.qcow2"
    want=$rc
    try "$IMG" amend -o "$2" "$T/a.qcow2"
    checked
    [ $rc = $want ] || { bad "$1: amend -o $2: exit $rc, the original's $want"; sed 's/^/    /' "$T/.err" >&2; }
    [ $rc = 0 ] || { cmp "$T/a.qcow2" "$T/before.qcow2" || bad "$1: -o $2: was refused, but changed"; return 0; }
    "$REF" check -q "$T/a.qcow2" >"$T/check" 2>&1 || { bad "$1: -o $2: check:"; head -5 "$T/check" >&2; }
    states "$T/a.qcow2" "$T/is"
    for f in "$T"/was.*; do
        cmp "$f" "$T/is.${f##*/was.}" || bad "$1: -o $2: ${f##*.} reads otherwise"
    done
    diff <(shown "$T/b.qcow2") <(shown "$T/a.qcow2") || bad "$1: -o $2: info"
}

# Another size: what is added reads as zeros, whatever is below or was there. Version 2 has no way
# to say so but data, and the original does not do that.
sizes() {
    local size options=$1
    shift
    "$REF" create -q -f qcow2 -o "$options" -b "$T/base.raw" -F raw "$T/a.qcow2" 300k
    "$REF_IO" -c "write -P 1 200k 100k" "$T/a.qcow2" >/dev/null
    for size; do
        checked
        cp "$T/a.qcow2" "$T/b.qcow2"
        good "$REF" amend -o "size=$size" "$T/b.qcow2"
        good "$IMG" amend -o "size=$size" "$T/a.qcow2"
        "$REF" check -q "$T/a.qcow2" >"$T/check" 2>&1 || { bad "$options, size=$size: check:"; head -5 "$T/check" >&2; }
        "$REF" compare -q "$T/a.qcow2" "$T/b.qcow2" || bad "$options, size=$size: reads otherwise"
        diff <(shown "$T/b.qcow2") <(shown "$T/a.qcow2") || bad "$options, size=$size: info"
    done
}

pattern noise $((768 * 1024)) >"$T/base.raw"
for options in cluster_size=64k cluster_size=512 cluster_size=16k,extended_l2=on; do
    sizes $options 500k 301k 290k 2M 512 1M 700k
    sizes $options 600k,lazy_refcounts=off 100M,refcount_bits=16
done
sizes cluster_size=4k 600k,refcount_bits=64 333k,refcount_bits=2
sizes cluster_size=4k 200k,compat=0.10 300k,compat=1.1
sizes compat=0.10 200k 100k 500k,compat=1.1
is_reference || {
    "$REF" create -q -f qcow2 -o compat=0.10 -b "$T/base.raw" -F raw "$T/a.qcow2" 300k
    for version in 0.10 1.1 0.10; do
        good "$IMG" amend -o "compat=$version,size=500k" "$T/a.qcow2"
        good "$REF" check -q "$T/a.qcow2"
        "$REF_IO" -c "read -P 0 300k 200k" "$T/a.qcow2" | grep -q failed && bad "version $version: what is below shows"
        good "$IMG" amend -o "size=300k" "$T/a.qcow2"
        good "$REF" check -q "$T/a.qcow2"
    done
}
for ((round = 0; round < ROUNDS; round++)); do
    seed=$SEED
    pick cluster_size=64k cluster_size=64k cluster_size=4k cluster_size=512 \
        cluster_size=16k,refcount_bits=32 cluster_size=64k,lazy_refcounts=on cluster_size=1k
    kind=$picked
    build "$kind"
    for step in 1 2 3 4; do
        pick compat=0.10 compat=1.1 compat=0.10,refcount_bits=16 refcount_bits=8 refcount_bits=64 \
            refcount_bits=4,compat=1.1 refcount_bits=1 lazy_refcounts=on lazy_refcounts=off \
            compat=1.1,refcount_bits=32,lazy_refcounts=on
        amend_both "seed $seed, $kind" "$picked"
    done
done
finish
