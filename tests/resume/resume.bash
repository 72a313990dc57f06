# Sourced by the tests of this folder: conversions that are stopped and gone on with.
#
#   RESUME_ROUNDS=N   how many times each conversion is killed on its way (default 5)
# shellcheck shell=bash
ROUNDS=${RESUME_ROUNDS:-5}
JOURNAL=.mpi-img-journal PART=.mpi-img-part
MIB=1048576
RANDOM=${RESUME_SEED:-$$}

# What Open MPI leaves in shared memory when it is killed goes with the scratch folder.
mpi_here() {
    export OMPI_MCA_btl_vader_backing_directory=$T OMPI_MCA_orte_tmpdir_base=$T
}

# Checkpoints as often as it can: each stop finds another state.
export MPI_IMG_CHECKPOINT=${MPI_IMG_CHECKPOINT:-20}

# What is drawn is fixed for the first run of each conversion only: later ones draw otherwise, and
# must use what the journal has.
first=1

# source FILE MIB: data that packs, data that does not, zeros, holes; of an odd size.
guest() {
    local at
    truncate -s $(($2 * MIB + 777)) "$1"
    for ((at = 0; at + 8 < $2; at += 8)); do
        put "$1" $((at * MIB + 4096)) noise $((2 * MIB)) "$at"
        put "$1" $(((at + 3) * MIB + 100)) text $((5 * MIB / 2)) "$at"
        put "$1" $(((at + 6) * MIB)) zero $MIB
    done
}

# expected NAME ARGS...: the same in one go, to compare with. A vmdk holds its own name, so the
# target's is NAME for both.
expected() {
    local name=$1
    shift
    good env MPI_IMG_SEED=$first "$IMG" convert "$@" "$name" && mv "$name" "$name.expected"
}

# any_engine: sets `run` to a command of ranks or threads, drawn.
any_engine() {
    local n=$((RANDOM % 4 + 1))
    if [ $((RANDOM % 2)) = 1 ] && command -v mpirun >/dev/null; then
        run=(mpirun -n "$n" --oversubscribe "$IMG" convert --threads $((RANDOM % 2 + 1)))
    elif [ "$n" = 4 ]; then
        run=("$IMG" convert --engine=serial)
    else
        run=("$IMG" convert --threads "$n")
    fi
}

# wait_for SECONDS CMD...: until it succeeds.
wait_for() {
    local i limit=$(($1 * 50))
    shift
    for ((i = 0; i < limit; i++)); do
        "$@" && return 0
        sleep 0.02
    done
    return 1
}

# Is the journal's head whole? (Else the next run rightly begins anew.)
begun() {
    [ -s "$1$JOURNAL" ] && [ "$(stat -c %s "$1$JOURNAL")" -gt 600 ]
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

# The processes that mpirun has started.
ranks_of() {
    pgrep -P "$1" || true
}

# kill_some PID: a rank, mpirun (or the only process), or all, drawn.
kill_some() {
    local pids
    mapfile -t pids < <(ranks_of "$1")
    case $((RANDOM % 3)),${#pids[@]} in
    0,[1-9]*) kill -KILL "${pids[RANDOM % ${#pids[@]}]}" 2>/dev/null || true ;;
    1,[1-9]*) kill -KILL "$1" "${pids[@]}" 2>/dev/null || true ;;
    *) kill -KILL "$1" 2>/dev/null || true ;;
    esac
    # now and then mpirun waits for ever for ranks that are dead
    wait_for 20 gone "$1" 2>/dev/null || kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
    # what it leaves must not write any more
    for pid in "${pids[@]}"; do
        wait_for 20 gone "$pid" || kill -KILL "$pid" || bad "rank $pid does not end"
    done
    return 0
}

# chunks_recorded NAME: as far as the length of the journal tells.
journal_size() {
    stat -c %s "$1$JOURNAL" 2>/dev/null || echo 0
}

# verdict NAME WHAT: the output is complete and as expected, and nothing else is left.
verdict() {
    checked
    cmp -s "$1" "$1.expected" || bad "$2: other bytes: $(cmp "$1" "$1.expected" 2>&1 | head -n 1)"
    [ ! -e "$1$JOURNAL" ] && [ ! -e "$1$PART" ] || bad "$2: left behind: $(echo "$1".*)"
}

# stopped_at PERCENT NAME ARGS...: NAME is unfinished, with a journal of about so much of it. On a busy
# machine it may be through before we look; then it is slowed down.
stopped_at() {
    local percent=$1 name=$2 bytes at seconds
    shift 2
    bytes=$(stat -Lc %s source)
    at=$((bytes * percent / 200)) # half of a guest is data
    for seconds in 4 16 64; do
        stop_one "$at" "$((bytes / seconds))" "$name" "$@" && break
        [ $seconds != 64 ] || bad "$name: was too quick to be stopped: $(cat "$T/.out")"
        rm -f "$name"
    done
    [ -e "$name$JOURNAL" ] || bad "$name: no journal: $(cat "$T/.out")"
}

# stop_one BYTES RATE NAME ARGS...: kill it when it has written so much; not 0: it was through before.
stop_one() {
    local at=$1 rate=$2 name=$3 pid stopped=0
    shift 3
    MPI_IMG_SEED=$first "$IMG" convert --resume --threads 2 -r "$rate" "$@" "$name" >"$T/.out" 2>&1 </dev/null &
    pid=$!
    wait_for 60 eval "has_written $name $at || gone $pid" || bad "$name: does not begin: $(cat "$T/.out")"
    kill -KILL $pid 2>/dev/null || stopped=1
    wait $pid 2>/dev/null || true
    [ -e "$name$JOURNAL" ] || stopped=1
    return $stopped
}

has_written() {
    [ -e "$1$PART" ] && begun "$1" && [ $(($(stat -c %b "$1$PART") * 512)) -gt "$2" ]
}
