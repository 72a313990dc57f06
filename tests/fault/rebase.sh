#!/bin/bash
# A safe rebase that is stopped at any write, sync, read or allocation, or killed there: the image
# reads as before, the check finds leaks at worst, and it is on the old backing image or on the new
# one, never on anything else. The next rebase makes all well.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/sweep.bash"
need_reference
need_ours
scratch 200
mkdir "$T/work"
cd "$T/work"

shown() {
    "$REF" convert -U -O raw "$1" "$T/shown" 2>"$T/.why" && hash_of "$T/shown"
}

backing_of() {
    "$REF" info -U --output=json "$1" | jq -r '."backing-filename"'
}

# judge WHAT: the overlay as it was left
judge() {
    local code=0 now
    [ "$(shown overlay)" = "$want" ] || bad "$1: reads otherwise"
    "$REF" check -q overlay >"$T/.check" 2>&1 || code=$?
    [ $code = 0 ] || [ $code = 3 ] || bad "$1: check says $code: $(head -n 2 "$T/.check")"
    now=$(backing_of overlay)
    [ "$now" = "$was" ] || [ "$now" = "$new" ] || bad "$1: on $now"
}

# sweep NAME MOST REBASE-OPTION...
sweep() {
    local name=$1 most=$2 kind error n total
    shift 2
    want=$(shown made) was=$(backing_of made) new=${2:-null}
    for kind in write sync truncate read alloc; do
        cp made overlay
        total=$(count_calls $kind "$IMG" rebase "$@" overlay)
        judge "$name, unhurt"
        for error in $KILLED $EIO; do
            case $error.$kind in
            "$KILLED".read | "$KILLED".alloc) continue ;; # changes nothing
            esac
            for n in $(numbers "$total" "$most"); do
                checked
                cp made overlay
                with_fault "$kind:$n:$error" "$IMG" rebase "$@" overlay 2>"$T/.killed"
                # what could not be read may be asked for again
                [ $rc != 0 ] || ! fired || [ $kind = read ] || [ $kind = alloc ] || bad "$name, $kind $n: exit 0"
                judge "$name, $kind $n, error $error (exit $rc)"
                [ $((n % 3)) = 0 ] || continue
                good "$IMG" rebase "$@" overlay
                judge "$name, $kind $n, done again"
            done
        done
    done
}

# make OPTIONS: an overlay on `a`, to be moved to `b`
make() {
    rm -f -- *
    "$REF" create -q -f qcow2 a 6M
    "$REF_IO" -c "write -P 1 0 900k" -c "write -P 2 2M 1M" -c "write -P 3 5M 64k" a >"$T/.io"
    "$REF" create -q -f raw b 4M
    "$REF_IO" -f raw -c "write -P 1 0 300k" -c "write -P 4 1M 1500k" -c "write -P 5 3M 1M" b >"$T/.io"
    "$REF" create -q -f qcow2 -o "$1" -b a -F qcow2 made
    "$REF_IO" -c "write -P 6 200k 200k" -c "write -P 7 4M 100k" made >"$T/.io"
}

make cluster_size=64k
sweep "another image" 20 -b b -F raw
sweep "nothing" 10 -b ""
make cluster_size=4k,lazy_refcounts=on
sweep "small clusters" 20 -b b -F raw
make compat=0.10
sweep "an old version" 8 -b b -F raw
make extended_l2=on
sweep "subclusters" 8 -b b -F raw
finish
