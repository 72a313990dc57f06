#!/bin/bash
# check of damaged images, and repair: the original's counts and words, and its bytes afterwards.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/qed/common.bash"
need_reference
scratch 50
cd "$T"
small good

# same WHAT OPTIONS...: both programs on copies of damaged.
same() {
    local what=$1 rc_ref=0
    shift
    cp damaged image
    "$REF" check "$@" image >theirs.out 2>&1 || rc_ref=$?
    mv image theirs
    cp damaged image
    try "$IMG" check "$@" image
    checked
    [ $rc = $rc_ref ] || bad "$what: exit $rc, not $rc_ref: $*"
    cat "$T/.out" "$T/.err" | diff -u theirs.out - >diff || bad "$what: $*: $(cat diff)"
    cmp theirs image || bad "$what: $*: repaired otherwise"
}

# case WHAT OFFSET VALUE...: patched, and cut or made longer by LENGTH=
damage() {
    local what=$1 repair
    shift
    cp good damaged
    while [ $# -gt 0 ]; do
        le damaged "$1" "$2"
        shift 2
    done
    [ -z "${LENGTH:-}" ] || truncate -s "$LENGTH" damaged
    for repair in "" "-r leaks" "-r all"; do
        # shellcheck disable=SC2086
        same "$what" $repair
        # shellcheck disable=SC2086
        same "$what" $repair --output=json
    done
}

damage good
damage "need-check" 16 2
damage "bits to be cleared" 32 f0000000000000f0 24 77
LENGTH=+16k damage "leaks"
damage "data outside" 0x8008 100000
damage "data unaligned" 0x8008 4800
damage "data twice" 0x8008 3000
damage "data in L1" 0x8008 1000
damage "table outside" 0x1008 100000
damage "table unaligned" 0x1008 b800
damage "table 1" 0x1008 1
damage "table twice" 0x1008 8000
damage "table twice, need-check" 0x1008 8000 16 2
damage "table is L1" 0x1008 1000
damage "table reaches beyond the end" 0x1008 21000
damage "table is data" 0x1008 3000 0x1018 d000
damage "table lost" 0x1008 0
damage "table behind the guest's end" 0x1ff8 b000 0x1008 0
damage "several" 0x8008 1000 0x8010 0 0x8020 2 0x8028 ffffffffffff0000 0x8030 1
damage "several, need-check" 16 7 0x8008 100000 0x1008 100 32 55
damage "order" 0x8008 5000 0x8010 4000
damage "zeros between" 0x8010 1
LENGTH=-6k damage "cut"
LENGTH=59392 damage "cut inside a table"
LENGTH=12288 damage "cut behind L1"
LENGTH=+16k damage "all" 16 2 0x8008 100000 0x1010 3

# the data that is left is what it was
cp good damaged
le damaged 0x8008 100000
try "$IMG" check -q -r all damaged
[ $rc = 3 ] || bad "exit $rc: a leak is left"
{ "$REF" compare damaged good || true; } >compared
grep -q "offset 4096!" compared || bad "a repair changed other data"
finish
