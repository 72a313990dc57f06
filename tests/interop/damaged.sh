#!/bin/bash
# check on damaged qcow2: the same complaints in the same order, counts and exit code as the
# original; and after -r the original finds what it would find after its own repair.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/fixtures.bash"
. "$TESTS/interop/alike.bash"
need_reference
scratch 200
cd "$T"
materials

create qcow2 good 8M
io qcow2 good "write -P 1 64k 512k" "write -P 2 5M 200k" "write -z 7M 64k"
"$REF" snapshot -c s1 good
io qcow2 good "write -P 3 6M 64k" "write -P 4 64k 64k"
cp good plain # to be repaired: with a bitmap as well the original's repair drops the snapshots
"$REF" bitmap --add good b0

l1=$(be good 40 8)
l2=$(($(be good "$l1" 8) & 0x00fffffffffffe00))
table=$(be good 48 8)
block=$(be good "$table" 8)
entry() { # the L2 entry of guest cluster N: where it stands
    echo $((l2 + $1 * 8))
}
host() { # and the host cluster it names
    echo $((($(be good "$(entry "$1")" 8) & 0x00fffffffffffe00) / 65536))
}

# complain NAME OFFSET HEX...: patch, then hear both
complain() {
    local name=$1
    shift
    cp good bad
    while [ $# -gt 0 ]; do
        patch_bytes bad "$1" "$2"
        shift 2
    done
    echo "- $name"
    alike check bad
    alike check --output=json bad
}

# repair NAME HOW OFFSET HEX...: both repair a copy; the original must find the same in both then
repair() {
    local name=$1 how=$2 rc_ref=0 left=0 left_ref=0
    shift 2
    cp plain bad
    while [ $# -gt 0 ]; do
        patch_bytes bad "$1" "$2"
        shift 2
    done
    cp bad bad.ref
    "$REF" check -r "$how" bad.ref >/dev/null 2>&1 || rc_ref=$?
    try "$IMG" check -r "$how" bad
    checked
    if grep -q 'not supported yet' "$T/.err"; then
        echo "note: $name: $(head -n 1 "$T/.err")"
        return 0
    fi
    [ $rc = $rc_ref ] || bad "$name, -r $how: exit $rc, not $rc_ref"
    "$REF" check bad.ref >/dev/null 2>&1 || left_ref=$?
    "$REF" check bad >left 2>&1 || left=$?
    [ $left = $left_ref ] || bad "$name, -r $how: the original then ends with $left, not $left_ref: $(head -n 3 left)"
    "$REF" compare -q bad bad.ref || bad "$name, -r $how: repaired to other content"
    [ "$("$REF" snapshot -l bad)" = "$("$REF" snapshot -l bad.ref)" ] || bad "$name, -r $how: other snapshots"
}

refcount() {
    echo $((block + $1 * 2))
}
leak=$(refcount 200) # behind all that is used
used=$(refcount "$(host 3)")

complain "nothing"
complain "a leak" "$(refcount "$(host 3)")" 0007
complain "a leak behind the end" "$leak" 0001
complain "refcount 0" "$used" 0000
complain "refcount 0 of the header" "$(refcount 0)" 0000
complain "two errors and a leak" "$used" 0000 "$(refcount "$(host 4)")" 0000 "$leak" 0003
complain "not COPIED" "$(entry 96)" "$(printf %016x $(($(be good "$(entry 96)" 8) & 0x7fffffffffffffff)))"
complain "COPIED, but shared" "$(entry 3)" "$(printf 8%015x $(($(be good "$(entry 3)" 8))))"
complain "L1 not COPIED" "$l1" "$(printf %016x $(($(be good "$l1" 8) & 0x7fffffffffffffff)))"
complain "misaligned" "$(entry 96)" 8000000000050200
complain "behind the end of the file" "$(entry 96)" 8000000100000000
complain "onto the header" "$(entry 96)" 8000000000000000
complain "onto the L2 table" "$(entry 96)" "$(printf 8%015x $l2)"
complain "twice the same" "$(entry 96)" "$(printf %016x "$(be good "$(entry 97)" 8)")"
complain "no refcount block" "$table" 0000000000000000
complain "refcount block misaligned" "$table" 0000000000020200
complain "refcount block behind the end" "$table" 0000000100000000
complain "reserved bits" "$(entry 96)" c000000000050001

repair "a leak" leaks "$leak" 0001
repair "a leak and an error" leaks "$leak" 0001 "$used" 0000
repair "refcount 0" all "$used" 0000
repair "not COPIED" all "$(entry 96)" "$(printf %016x $(($(be good "$(entry 96)" 8) & 0x7fffffffffffffff)))"
finish
