#!/bin/bash
# Killed at any moment, again and again: a rank, the launcher, all of them. Gone on with by other
# numbers of ranks and threads. The bytes are those of a run that nobody disturbed.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/resume/resume.bash"
need_ours
scratch 400
cd "$T"
mpi_here
guest source 48
kills=0

# again NAME ARGS...
again() {
    local name=$1 round run pid went_on=0
    shift
    expected "$name" "$@" || return 0
    for ((round = 1; round <= ROUNDS; round++)); do
        any_engine
        MPI_IMG_SEED=$((first + round - 1)) "${run[@]}" --resume -r $((RANDOM % 20 + 10))M "$@" "$name" \
            >"$T/.out" 2>&1 </dev/null &
        pid=$!
        wait_for 30 eval "begun $name || gone $pid" || bad "$name: does not begin: $(cat "$T/.out")"
        sleep 0.$((RANDOM % 9))
        [ ! -e "$name" ] || break # it was too quick
        kill_some $pid
        kills=$((kills + 1))
        [ "$(journal_size "$name")" -gt 1500 ] && went_on=1
        [ ! -e "$name" ] || break
    done
    wait "$pid" 2>/dev/null || true
    # with its name it may still have its journal: killed between the two
    any_engine
    [ -e "$name" ] && [ ! -e "$name$JOURNAL" ] || good env MPI_IMG_SEED=99 "${run[@]}" --resume "$@" "$name" || return 0
    verdict "$name" "$name, after $round stops"
    echo "$name: stopped $((round - 1)) times, a journal was used: $went_on"
    rm -f "$name"*
}

again image.raw -O raw source
again image.qcow2 -O qcow2 source
again packed.qcow2 -c -O qcow2 source
again stream.vmdk -O vmdk -o subformat=streamOptimized source
again image.vhdx -O vhdx -o block_size=2M source
again image.vmdk -O vmdk source
again image.vdi -O vdi source
again image.vpc -O vpc source
again zstd.qcow2 -c -O qcow2 -o compression_type=zstd,cluster_size=4k source
again reserved.qcow2 -O qcow2 -o preallocation=full source
again reserved.raw -O raw -o preallocation=full source
echo "$kills kills"
finish
