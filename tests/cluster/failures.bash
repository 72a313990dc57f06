# Sourced by the scripts that end a part of the cluster while it converts.
#
#   interrupt MPI WHAT SECONDS COMMAND...   start a conversion on three hosts, let COMMAND break it,
#                                           and see that all ends in that time as it should
# shellcheck shell=bash

# A source that takes some 20 s with --rate-limit, and a target that stands there already.
failures_prepare() {
    truncate -s 200M "$T/source"
    pattern noise 100000000 1 | dd of="$T/source" conv=notrunc bs=1M status=none
    "$IMG" convert -f raw -O qcow2 "$T/source" "$T/right"
    echo "what stood here before" >"$T/before"
}

# begun: wait until data is being written beside the final name
begun() {
    local i
    for ((i = 0; i < 200; i++)); do
        [ "$(stat -c %b "$T/target.mpi-img-part" 2>/dev/null || echo 0)" -lt 4000 ] || return 0
        sleep 0.05
    done
    return 1
}

# left NODE...: our processes that still run there
left() {
    local n
    for n; do [ -z "${node_pid[$n]:-}" ] || node_pids "$n" mpi-img; done
}

interrupt() {
    local mpi=$1 what=$2 limit=$3 i job rc=0 start
    shift 3
    cp "$T/before" "$T/target"
    rm -f "$T/target.mpi-img-part" # a killed run leaves it
    # shellcheck disable=SC2046  # a list of words
    on_hosts "$mpi" 3 "$IMG" convert -r 4M -f raw -O qcow2 "$T/source" "$T/target" \
        >"$T/.out" 2>"$T/.err" </dev/null &
    job=$!
    checked
    begun || { bad "$what, $mpi: does not begin"; kill $job; wait $job || true; return 0; }
    "$@"
    start=$SECONDS
    for ((i = 0; i < limit * 10; i++)); do
        kill -0 $job 2>/dev/null || break
        sleep 0.1
    done
    if kill -0 $job 2>/dev/null; then
        bad "$what, $mpi: not ended after $limit s"
        kill -9 $job
        for i in $(node_pids n0 mpirun) $(node_pids n0 mpirun.openmpi) $(node_pids n0 mpirun.mpich); do kill -9 "$i"; done
    fi
    wait $job 2>/dev/null || rc=$?
    echo "$what, $mpi: ended with $rc after $((SECONDS - start)) s: $(grep -v '^[-=]*$' "$T/.err" | head -n 1)"
    checked
    [ $rc != 0 ] || bad "$what, $mpi: exit code 0"
    [ -s "$T/.err" ] || bad "$what, $mpi: no message"
    cmp -s "$T/target" "$T/before" || bad "$what, $mpi: not what stood under the final name"
}

# again MPI N: the same once more, undisturbed: ends right, whatever was left behind
again() {
    rm -f "$T/target"
    good on_hosts "$1" "$2" "$IMG" convert -f raw -O qcow2 "$T/source" "$T/target" &&
        cmp "$T/target" "$T/right" || bad "the run after it, $1: other bytes"
    [ ! -e "$T/target.mpi-img-part" ] || bad "the run after it, $1: a part is left"
    rm -f "$T/target"
}

# gone_by SECONDS NODE...: within that time nothing of ours runs there any more
gone_by() {
    local i limit=$1
    shift
    checked
    for ((i = 0; i < limit * 10; i++)); do
        [ -n "$(left "$@")" ] || return 0
        sleep 0.1
    done
    bad "still running on $*: $(left "$@")"
    for i in $(left "$@"); do kill -9 "$i"; done
}

gone() {
    gone_by 10 "$@"
}
