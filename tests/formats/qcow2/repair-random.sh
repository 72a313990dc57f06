#!/bin/bash
# Random images with random faults, repaired: what could be read can be read still, the original
# finds nothing more than after its own repair, and says the same as we do; windows of the file that
# are smaller than it lead to the same bytes.
#
#   SEEDS="1 2 3" bash tests/formats/qcow2/repair-random.sh
. "$(dirname "$0")/../../lib.sh"
need_reference
need_ours
scratch 200
cd "$T"
SEEDS=${SEEDS:-$(seq 1 30)}

# repaired BY HOW NAME: BY repairs a copy that is left as NAME, with NAME.rc .out .err
repaired() {
    cp broken image
    rc=0
    "$1" check ${4:-} -r "$2" image >"$3.out" 2>"$3.err" </dev/null || rc=$?
    sed -i 's/^[a-z-]*: /img: /' "$3.err"
    echo $rc >"$3.rc"
    mv image "$3"
}

verdict() {
    rc=0
    "$REF" check "$1" >/dev/null 2>&1 || rc=$?
    echo $rc
}

# as_before NAME: the guest and its snapshots, as far as they could be read
as_before() {
    local shot
    if "$REF" convert -O raw broken before 2>/dev/null; then
        "$REF" convert -O raw "$1" after && cmp before after || return 1
    fi
    for shot in s1 s2; do
        "$REF" convert -l $shot -O raw broken before 2>/dev/null || continue
        "$REF" convert -l $shot -O raw "$1" after && cmp before after || return 1
    done
}

# Where the tables cannot be trusted we place what is made anew elsewhere.
alike_as_can_be() {
    cmp -s theirs.err ours.err && cmp -s theirs.out ours.out && cmp -s theirs.rc ours.rc && return
    grep -q 'exceeding the end\|overflow cluster\|not properly aligned' ours.err &&
        grep -q Rebuilding ours.err && return
    grep -q 'Marking image as corrupt' theirs.err
}

for seed in $SEEDS; do
    perl "$TESTS/formats/qcow2/damage.pl" "$REF" "$REF_IO" "$seed" ${KIND:-} >made || fail "seed $seed: no image"
    for how in leaks all; do
        what="seed $seed, -r $how ($(tr '\n' ' ' <made))"
        checked
        repaired "$REF" $how theirs
        repaired "$IMG" $how ours
        repaired "$IMG" $how windows "--memory 64k"
        alike_as_can_be || bad "$what: says otherwise"
        cmp -s ours windows || bad "$what: other bytes by windows"
        cmp -s ours.rc windows.rc || bad "$what: another exit code by windows"
        after=$(verdict ours) theirs=$(verdict theirs)
        [ $how = leaks ] || [ "$after" -le "$theirs" ] || bad "$what: check says $after, after the original's repair $theirs"
        as_before ours || bad "$what: reads otherwise"
    done
done
finish
