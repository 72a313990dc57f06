#!/bin/bash
# Faults of every kind, one by one: what -r says and what is left, against the original; where it
# cannot repair or does harm, that we do not.
. "$(dirname "$0")/../../lib.sh"
need_reference
need_ours
scratch 100
cd "$T"

# -- images ----------------------------------------------------------------------------------------
#
# With 64 KiB clusters: 0 header, 1 refcount table, 2 refcount block, 3 L1, 4 L2, 5... data

reference_io() {
    local image=$1
    shift
    "$REF_IO" "$@" "$image" >/dev/null
}
make() {
    "$REF" create -q -f qcow2 ${2:+-o "$2"} "$1" 1M
    reference_io "$1" -c "write -P 1 0 128k" -c "write -P 2 512k 64k"
}
make plain
reference_io plain -c "write -z 640k 64k"
make shots
"$REF" snapshot -c s1 shots
reference_io shots -c "write -P 3 64k 64k"
"$REF" snapshot -c s2 shots
make wide extended_l2=on
reference_io wide -c "write -P 3 576k 10k" -c "write -z 640k 64k" -c "write -z 768k 3k"
make bits refcount_bits=1
make apart data_file=apart.data
reference_io apart -c "write -z 768k 128k"
make marked
"$REF" bitmap --add marked b0
"$REF" bitmap --add -g 1M marked b1
reference_io marked -c "write -P 5 256k 200k"
"$REF" create -q -f qcow2 packed 1M
reference_io packed -c "write -c -P 1 0 64k" -c "write -c -P 2 64k 64k" -c "write -P 3 128k 64k"
snapshots=$(be shots 64 8)

# -- judging ---------------------------------------------------------------------------------------

# repaired BY HOW: a copy of `broken`, repaired: BY, BY.out, BY.err, BY.rc
repaired() {
    local program=$REF
    [ "$1" = theirs ] || program=$IMG
    cp broken image
    rc=0
    # shellcheck disable=SC2086  # words
    "$program" check $2 image >"$1.out" 2>"$1.err" </dev/null || rc=$?
    sed -i 's/^[a-z-]*: /img: /' "$1.err"
    echo $rc >"$1.rc"
    mv image "$1"
}

# kept IMAGE: the guest and its snapshots read as before, as far as they could be read
kept() {
    local shot
    for shot in "" "-l s1" "-l s2"; do
        # shellcheck disable=SC2086  # words
        "$REF" convert $shot -O raw broken before 2>/dev/null || continue
        # shellcheck disable=SC2086  # words
        "$REF" convert $shot -O raw "$1" after && cmp -s before after || return 1
    done
}

verdict() {
    rc=0
    "$REF" check "$1" >"$T/.check" 2>&1 || rc=$?
    echo $rc
}

# damaged NAME [BASE PLACE HEX ...]: `broken`
damaged() {
    what=$1
    cp "$2" broken
    shift 2
    while [ $# -gt 0 ]; do
        patch_bytes broken "$1" "$2"
        shift 2
    done
}

# as_theirs NAME BASE PLACE HEX...: they and we say the same and leave as much
as_theirs() {
    local how
    damaged "$@"
    for how in "" "-r leaks" "-r all" "-r all --output=json"; do
        checked
        repaired theirs "$how"
        repaired ours "$how"
        cmp -s theirs.rc ours.rc || bad "$what, $how: exit $(cat ours.rc), should be $(cat theirs.rc)"
        diff theirs.err ours.err >"$T/.diff" || { bad "$what, $how: stderr" && cat "$T/.diff"; }
        diff theirs.out ours.out >"$T/.diff" || { bad "$what, $how: stdout" && cat "$T/.diff"; }
        [ "$(verdict ours)" = "$(verdict theirs)" ] || bad "$what, $how: left as $(verdict ours)"
        kept ours || bad "$what, $how: reads otherwise"
    done
}

# by_us NAME BASE PLACE HEX...: -r all repairs it
by_us() {
    damaged "$@"
    checked
    repaired ours "-r all"
    [ "$(cat ours.rc)" = 0 ] || bad "$what: exit $(cat ours.rc)"
    [ "$(verdict ours)" = 0 ] || bad "$what: not repaired: $(head -n 2 "$T/.check")"
    kept ours || bad "$what: reads otherwise"
}

# -- refcounts and flags ---------------------------------------------------------------------------

as_theirs "healthy" plain
as_theirs "healthy, snapshots" shots
as_theirs "leak" plain 0x2000a 0002
as_theirs "leak and flag" plain 0x2000a 0003 0x40000 00
as_theirs "flag" plain 0x40000 00
as_theirs "flag of L1" plain 0x30000 00
as_theirs "two entries, one count" plain 0x40010 8000000000050000
as_theirs "two entries, two counts" plain 0x40010 8000000000050000 0x2000a 0002
as_theirs "leak beside two entries" plain 0x2000a 0003 0x40010 8000000000060000
as_theirs "marks" plain 72 0000000000000003
as_theirs "corrupt, with leaks" plain 72 0000000000000002 0x2000a 0003 0x40010 8000000000060000
as_theirs "snapshots, leak and too few" shots 0x2000a 0009 0x2000e 0001
as_theirs "snapshots, flags" shots 0xc0000 00 0xa0000 80 0x30000 80
as_theirs "packed, leak and too few" packed 0x2000a 0001 0x2000c 0005
as_theirs "width is full" bits 0x40010 8000000000050000
as_theirs "leak of one bit" bits 0x40000 0000000000000000
as_theirs "data file, flag" apart 0x40008 00
as_theirs "bitmaps, leak" marked 0x2000a 0003

# -- entries ---------------------------------------------------------------------------------------

as_theirs "data beside a cluster" plain 0x40010 8000000000050200
as_theirs "zeros beside a cluster" plain 0x40010 8000000000050201
as_theirs "zeros beside, in a snapshot" shots 0x40018 0000000000050201
as_theirs "zeros beside, in a shared table" shots 0xa0018 0000000000050201
as_theirs "zeros beside, subclusters" wide 0x40020 800000000006020000ff000000000000
as_theirs "nothing beside, subclusters" wide 0x40020 80000000000602000000000000000000
as_theirs "data beside, subclusters" wide 0x40020 800000000006020000ff0000ff000000
as_theirs "subclusters twice" wide 0x40010 8000000000060000ffffffffffffffff
as_theirs "subclusters nowhere" wide 0x40020 00000000000000000000000000000001
as_theirs "packed with subclusters" wide 0x40020 400000000005000000ff000000000000
as_theirs "packed and copied" plain 0x40010 c000000000050000
as_theirs "behind the end" plain 0x40010 8000000000f50000
as_theirs "right behind the end" plain 0x40010 8000000000080000
as_theirs "reserved bits" plain 0x40010 8100000000000010
as_theirs "L1 beside a cluster" plain 0x30000 8000000000040200
as_theirs "L1 behind the end" plain 0x30000 8000000000f40000
as_theirs "L1 reserved bits" plain 0x30000 8100000000040000
as_theirs "data file, zeros beside" apart 0x40010 8000000000050201
as_theirs "data file, packed" apart 0x40010 4000000000050200

# -- refcount structures ---------------------------------------------------------------------------

as_theirs "a count of 0" plain 0x2000a 0000
as_theirs "a count of 0, leaks" plain 0x2000e 0000 0x2000a 0003 0x2000c 0002
as_theirs "a count of 0, flag" plain 0x2000e 0000 0x40000 00
as_theirs "a count of 0, two entries" plain 0x2000e 0000 0x40010 8000000000050000
as_theirs "a count of 0, marks" plain 0x2000e 0000 72 0000000000000003
as_theirs "a count of 0, snapshots" shots 0x20008 0000 0x2001a 0000
as_theirs "a count of 0, packed" packed 0x2000a 0000
as_theirs "a count of 0, one bit" bits 0x20000 f0
as_theirs "a count of 0, subclusters" wide 0x20008 0000 0x40000 00
as_theirs "a count of 0, data file" apart 0x20002 0003 0x20006 0000
as_theirs "a count of 0, bitmaps" marked 0x20008 0000
as_theirs "the block's own count" plain 0x20004 0000
as_theirs "no block" plain 0x10000 0000000000000000
by_us "no block, bitmaps" marked 0x10000 0000000000000000
as_theirs "a block twice" plain 0x10008 0000000000020000
as_theirs "a block in the table" plain 0x10008 0000000000010000
as_theirs "a second block with reserved bits" plain 0x10008 0000000000070010
as_theirs "a block in the data" plain 0x10000 0000000000050000
as_theirs "no table" plain 56 00000000
as_theirs "no table, nowhere" plain 48 0000000000000000 56 00000000
as_theirs "no table, snapshots" shots 56 00000000
as_theirs "table behind the end" plain 48 0000000000f00000
by_us "a block with reserved bits" plain 0x10000 0000000000020001
by_us "a block beside a cluster" plain 0x10000 0000000000020200
by_us "a second block beside a cluster" plain 0x10008 0000000000070200
by_us "a block behind the end" plain 0x10000 0000000000f20000
by_us "a block far behind the end" plain 0x10000 00f0000000f20000
[ "$(stat -c %s ours)" -lt 1000000 ] || bad "the file grew to $(stat -c %s ours)"

# -- the snapshot table ----------------------------------------------------------------------------

as_theirs "an entry is short" shots "$snapshots + 36" 00000010
as_theirs "an entry is long" shots "$snapshots + 36" 00000410
as_theirs "L1 of a snapshot beside a cluster" shots "$snapshots" 0000000000040200
as_theirs "L1 of a snapshot behind the end" shots "$snapshots" 0000000000f40000
as_theirs "L1 of a snapshot is huge" shots "$snapshots + 8" 10000000
as_theirs "table beside a cluster" shots 64 00000000000d0200
by_us "one snapshot too many" shots 60 00010001

# -- with snapshots and bitmaps the original frees the snapshots: nothing may be lost --------------

"$REF" snapshot -c s1 marked
reference_io marked -c "write -P 7 0 64k"
"$REF" snapshot -c s2 marked
by_us "snapshots and bitmaps" marked 0x2000a 0009
"$REF" snapshot -l broken >before.list
"$REF" snapshot -l ours >after.list
checked
cmp before.list after.list || bad "snapshots were lost"
cmp <("$REF" info broken | grep name:) <("$REF" info ours | grep name:) || bad "bitmaps were lost"
by_us "snapshots and bitmaps, made anew" marked 0x10000 0000000000000000
for how in leaks all; do
    cp marked healthy
    good "$IMG" check -r $how healthy
    cmp marked healthy || bad "-r $how changes a healthy image"
done
finish
