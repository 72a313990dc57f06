# Sourced by the scripts that end a part of the cluster while it converts.
#
#   interrupt MPI WHAT SECONDS COMMAND...   start a conversion on three hosts, let COMMAND break it,
#                                           and see that all ends in that time as it should; sets rc
#   again MPI N                             the same command on N hosts: it goes on, and ends right
#
# resume=() leaves --resume out: then nothing is kept, and `again` begins anew.
# shellcheck shell=bash
resume=(--resume)
export MPI_IMG_CHECKPOINT=200

# A source that takes some 20 s with --rate-limit, and a target that stands there already.
failures_prepare() {
    truncate -s 200M "$T/source"
    pattern noise 100000000 1 | dd of="$T/source" conv=notrunc bs=1M status=none
    good "$IMG" -T unit_given,file="$T/.trace" convert -f raw -O qcow2 "$T/source" "$T/right"
    all=$(given)
    echo "what stood here before" >"$T/before"
}

# How many chunks the last run gave out.
given() {
    grep -c unit_given "$T/.trace" || true
}

# begun: wait until data is being written beside the final name, and with --resume has been recorded
begun() {
    local i
    for ((i = 0; i < 400; i++)); do
        [ "$(stat -c %b "$T/target.mpi-img-part" 2>/dev/null || echo 0)" -lt 4000 ] ||
            [ "$(stat -c %s "$T/target.mpi-img-journal" 2>/dev/null || echo 0)" -lt \
                $((${#resume[@]} * 1500)) ] || return 0
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
    local mpi=$1 what=$2 limit=$3 i job start
    shift 3
    rc=0
    cp "$T/before" "$T/target"
    rm -f "$T/target.mpi-img-part" # a killed run leaves it
    on_hosts "$mpi" 3 "$IMG" convert "${resume[@]}" --threads 1 -r 4M -f raw -O qcow2 \
        "$T/source" "$T/target" >"$T/.out" 2>"$T/.err" </dev/null &
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
    echo "$what, $mpi: ended with $rc after $((SECONDS - start)) s: $(grep -vE "^[-=]*\$| Killed  " "$T/.err" | head -n 1)"
    checked
    [ $rc != 0 ] || bad "$what, $mpi: exit code 0"
    [ -s "$T/.err" ] || bad "$what, $mpi: no message"
    cmp -s "$T/target" "$T/before" || bad "$what, $mpi: not what stood under the final name"
}

again() {
    rm -f "$T/target" "$T/.trace"
    good on_hosts "$1" "$2" "$IMG" -T unit_given,file="$T/.trace" convert "${resume[@]}" \
        -f raw -O qcow2 "$T/source" "$T/target" &&
        cmp "$T/target" "$T/right" || bad "the run after it, $1, $2 hosts: other bytes"
    [ ${#resume[@]} = 0 ] || [ "$(given)" -lt "$all" ] || bad "the run after it, $1: did all again"
    [ ! -e "$T/target.mpi-img-part" ] && [ ! -e "$T/target.mpi-img-journal" ] ||
        bad "the run after it, $1: left behind: $(echo "$T"/target.*)"
    mv "$T/target" "$T/made"
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
