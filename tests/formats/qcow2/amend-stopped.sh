#!/bin/bash
# An amend that is stopped at any write or sync leaves an image that the original opens: it reads as
# before in every state, its check finds leaks at worst, and the same amend can be done later.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/fault/sweep.bash"
need_reference
need_ours
scratch 100
mkdir "$T/work"
cd "$T/work"

reads() {
    local shot
    "$REF" convert -O raw "$1" "$T/shown" && hash_of "$T/shown"
    for shot in s1 s2; do
        "$REF" convert -l $shot -O raw "$1" "$T/shown" && hash_of "$T/shown"
    done
}

# no worse than leaks
sound() {
    rc=0
    "$REF" check -q "$2" >"$T/.check" 2>&1 || rc=$?
    case $rc in 0 | 3) ;; *) bad "$1: check: $(head -n 2 "$T/.check")" ;; esac
}

sweep() {
    local kind n total
    for kind in write sync; do
        cp start image
        total=$(count_calls $kind "$IMG" amend -o "$1" image)
        [ "$total" -gt 0 ] || bad "$1: no $kind at all"
        for n in $(numbers "$total" 12); do
            checked
            cp start image
            with_fault "$kind:$n:$EIO" "$IMG" amend -o "$1" image
            fired || bad "$1, $kind $n: was not stopped"
            [ $rc = 1 ] || bad "$1, $kind $n: exit $rc"
            sound "$1, $kind $n" image
            [ "$(reads image)" = "$before" ] || bad "$1, $kind $n: reads otherwise"
            good "$IMG" amend -o "$1" image
            sound "$1, $kind $n, again" image
            [ "$(reads image)" = "$before" ] || bad "$1, $kind $n, again: reads otherwise"
        done
    done
}

pattern noise $((4 << 20)) >base
"$REF" create -q -f qcow2 -o cluster_size=4k -b base -F raw start
"$REF_IO" -c "write -P 1 0 300k" -c "write -z 100k 100k" -c "write -zu 2M 64k" start >/dev/null
"$REF" snapshot -c s1 start
"$REF_IO" -c "write -P 3 100k 50k" -c "write -z 200k 64k" -c "write -c -P 4 3M 4k" start >/dev/null
"$REF" snapshot -c s2 start
"$REF_IO" -c "write -z 0 64k" -c "write -P 5 150k 300k" start >/dev/null
before=$(reads start)
sweep compat=0.10
sweep refcount_bits=64
sweep compat=1.1,refcount_bits=8,lazy_refcounts=on
finish
