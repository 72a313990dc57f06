#!/bin/bash
# A repair that is stopped at any write or sync leaves nothing worse: the guest and its snapshots read
# as before, no cluster is counted less than it is referred to that was not before, and the next
# repair makes all well.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/fault/sweep.bash"
need_reference
need_ours
scratch 100
mkdir "$T/work"
cd "$T/work"

# too_low IMAGE: clusters whose refcount is below the references
too_low() {
    "$REF" check "$1" 2>&1 | grep -c 'ERROR cluster' || true
}

# reads IMAGE: hashes of all that it shows
reads() {
    local shot
    "$REF" convert -O raw "$1" "$T/shown" && hash_of "$T/shown"
    for shot in s1 s2; do
        "$REF" convert -l $shot -O raw "$1" "$T/shown" 2>/dev/null && hash_of "$T/shown" || true
    done
}

# sweep NAME: the image `broken` is repaired, stopped at each write and each sync
sweep() {
    local name=$1 before low kind n total
    before=$(reads broken) low=$(too_low broken)
    for kind in write sync; do
        cp broken image
        total=$(count_calls $kind "$IMG" check -r all image)
        [ "$total" -gt 0 ] || bad "$name: no $kind at all"
        for n in $(numbers "$total" 25); do
            checked
            cp broken image
            with_fault "$kind:$n:$EIO" "$IMG" check -r all image
            fired || bad "$name, $kind $n: was not stopped"
            [ $rc = 1 ] || bad "$name, $kind $n: exit $rc"
            [ "$(reads image)" = "$before" ] || bad "$name, $kind $n: reads otherwise"
            [ "$(too_low image)" -le "$low" ] || bad "$name, $kind $n: more is counted too low"
            try "$IMG" check -r all image
            "$REF" check -q image >"$T/.check" 2>&1 || bad "$name, $kind $n: not repaired later: $(head -n 2 "$T/.check")"
            [ "$(reads image)" = "$before" ] || bad "$name, $kind $n: repaired, it reads otherwise"
        done
    done
}

make() {
    "$REF" create -q -f qcow2 -o cluster_size=4k,$1 broken 4M
    "$REF_IO" -c "write -P 1 0 300k" -c "write -P 2 1M 100k" -c "write -z 2M 64k" broken >/dev/null
    "$REF" snapshot -c s1 broken
    "$REF_IO" -c "write -P 3 100k 100k" -c "write -P 4 3M 100k" broken >/dev/null
    "$REF" snapshot -c s2 broken
    "$REF_IO" -c "write -P 5 150k 300k" broken >/dev/null
    block=$(be broken "$(be broken 48 8)" 8)
    table=$(($(be broken "$(be broken 40 8)" 8) & 0xfffffffffffe00))
}

make refcount_bits=16
for i in 9 12 15 90 91; do patch_bytes broken "$block + 2 * $i" 0009; done # leaks
for i in 20 21 22; do patch_bytes broken "$block + 2 * $i" 0001; done      # perhaps too few
for i in 40 41 42; do patch_bytes broken "$table + 8 * $i" 00; done        # flags
sweep "refcounts and flags"

make refcount_bits=8
patch_bytes broken "$block + 5" 000000
patch_bytes broken 72 0000000000000003
sweep "refcounts made anew"

make refcount_bits=64
patch_bytes broken "$(be broken 48 8)" 0000000000000000
sweep "a block that is missing"

make refcount_bits=16
snapshots=$(be broken 64 8)
perl -e 'open(my $f, "+<", $ARGV[0]) or die; my $at = $ARGV[1]; seek $f, $at, 0; read $f, my $t, 400;
    my ($a, $b) = (substr($t, 0, 36), substr($t, 72, 36));
    seek $f, $at, 0; print $f $a, pack("N", 0), "1s1\0\0\0\0\0", $b, pack("N", 0), "2s2\0\0\0\0\0", "\0" x 60' \
    broken "$snapshots"
sweep "snapshot table"
finish
