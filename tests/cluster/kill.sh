#!/bin/bash
# A conversion by several hosts is killed at random moments, again and again: a rank, the launcher,
# a host with all that runs there, all of them at once. The same command goes on with other numbers
# of hosts and ranks, and under the other MPI. The bytes are those of a run that nobody disturbed.
#
#   KILLS=N   how many in all (default 8); from 40 on links are cut as well, which takes longer
#   SEED=N    what is drawn; each run says with which seed it began
. "$(dirname "$0")/../lib.sh"
SEED=${SEED:-$$} RESUME_SEED=$SEED
. "$TESTS/resume/resume.bash"
. "$TESTS/cluster/nodes.bash"
need_nodes
scratch 600
cd "$T"
KILLS=${KILLS:-8}
export MPI_IMG_RANK_TIMEOUT=6
RANDOM=$SEED
read -ra MPIS <<<"$(mpis 2>/dev/null | tr '\n' ' ')"
[ ${#MPIS[@]} -gt 0 ] || skip "no MPI"
echo "seed $SEED, $KILLS kills, ${MPIS[*]}"

ways=(rank rank launcher host host all)
[ "$KILLS" -lt 40 ] || ways+=(link)
declare -A times=()
kills=0 went_on=0

# draw WORD...: sets `drawn`
draw() {
    shift $((RANDOM % $#))
    drawn=$1
}

# start_some NAME ARGS...: it, by some of the hosts, with one rank or two each
start_some() {
    local name=$1 each=$((RANDOM % 2 + 1))
    shift
    hosts=$((RANDOM % 3 + 1))
    rm -f "$T/.trace"
    draw "${MPIS[@]}"
    mpi=$drawn
    what="$mpi, $hosts hosts, $((hosts * each)) ranks"
    # shellcheck disable=SC2046  # a list of words
    on_node n0 env MPI_IMG_SEED=$((first + kills - begin)) \
        $("launch_$mpi") -host "$(host_list $hosts $each)" -n $((hosts * each)) \
        "$IMG" -T unit_given,file="$T/.trace" convert --threads $((RANDOM % 2 + 1)) --resume \
        "$@" "$name" >"$T/.out" 2>"$T/.err" </dev/null &
    job=$!
}

# our_pids NAME...: wherever they run
our_pids() {
    local n
    for n in n0 n1 n2; do [ -z "${node_pid[$n]:-}" ] || node_pids "$n" "$@"; done
}

# kill_one NAME...: of those of these names
kill_one() {
    local pids
    read -ra pids <<<"$(our_pids "$@" | tr '\n' ' ')"
    [ ${#pids[@]} = 0 ] || kill -KILL "${pids[RANDOM % ${#pids[@]}]}" 2>/dev/null || true
}

# end_all NAME...: at once
end_all() {
    # shellcheck disable=SC2046  # a list of numbers
    kill -KILL $(our_pids "$@") 2>/dev/null || true
}

launchers=(mpirun mpirun.openmpi mpirun.mpich)
daemons=(orted hydra_pmi_proxy)

# Sets `how`, and `cut` to the host whose link it was.
break_it() {
    draw "${ways[@]}"
    how=$drawn
    [ "$how,$hosts" != link,1 ] || how=rank
    case $how in
    rank) kill_one mpi-img ;;
    launcher) kill_one "${launchers[@]}" ;;
    all) end_all "${launchers[@]}" "${daemons[@]}" mpi-img ;;
    host) node_crash n$((RANDOM % hosts)) ;;
    link)
        cut=n$((RANDOM % (hosts - 1) + 1)) # n0 has the launcher
        node_cut $cut
        ;;
    esac
    times[$how]=$((${times[$how]:-0} + 1))
    kills=$((kills + 1))
}

# What is left ends by itself, within a bound; then hosts and links come back.
mend() {
    local i
    # Hydra waits for ever for its daemon on a silent host: it is told to end when all ranks have
    if [ "$how,$mpi" = link,mpich ]; then
        wait_for 30 all_gone_but "$cut" || true
        end_all "${launchers[@]}"
    fi
    if ! wait_for 40 gone $job; then
        bad "$how, $what: the launcher does not end: $(cat "$T/.err")"
        for i in "${!node_pid[@]}"; do on_node "$i" ps -eo pid,ppid,stat,args >&2; done
        end_all "${launchers[@]}"
    fi
    wait $job 2>/dev/null || true
    [ -z "$cut" ] || node_join "$cut"
    cut=
    wait_for 30 all_gone_but - ||
        { bad "$how, $what: ranks do not end"; end_all mpi-img; }
    for i in 0 1 2; do [ -n "${node_pid[n$i]:-}" ] || node_start n$i $((10 + i)); done
}

all_gone_but() {
    local n
    for n in n0 n1 n2; do
        [ "$n" = "$1" ] || [ -z "${node_pid[$n]:-}" ] || [ -z "$(node_pids $n mpi-img)" ] || return 1
    done
}

# May it be killed? Hydra (4.0.2) waits for ever where a host dies before MPI is up.
ready() {
    begun "$1" && { [ "$mpi" != mpich ] || [ -s "$T/.trace" ]; }
}

# again NAME ARGS...: until it has its name
again() {
    local name=$1 begin=$kills size
    shift
    expected "$name" "$@" || return 0
    while [ $kills -lt "$KILLS" ] && [ $((kills - begin)) -lt 12 ]; do
        size=$(journal_size "$name")
        start_some "$name" -r $((RANDOM % 8 + 4))M "$@"
        wait_for 30 eval "ready $name || gone $job" || bad "$name: does not begin: $(cat "$T/.err")"
        sleep $((RANDOM % 2)).$((RANDOM % 9 + 1))
        if gone $job; then
            [ -e "$name" ] || bad "$name, $what: ended by itself: $(cat "$T/.err")"
            break
        fi
        break_it
        mend
        [ "$size" -lt 1500 ] || went_on=$((went_on + 1))
        [ ! -e "$name" ] || [ -e "$name$JOURNAL" ] || break
    done
    wait $job 2>/dev/null || true
    # with its name it may still have its journal: killed between the two
    if [ ! -e "$name" ] || [ -e "$name$JOURNAL" ]; then
        start_some "$name" "$@"
        checked
        wait $job || { bad "$name, $what: the last run: $(cat "$T/.err")"; return 0; }
    fi
    verdict "$name" "$name, after $((kills - begin)) kills"
    rm -f "$name"*
}

guest source 64
cut=
nodes_up 3
conversions=(
    "image.qcow2 -O qcow2" "image.raw -O raw" "packed.qcow2 -c -O qcow2"
    "stream.vmdk -O vmdk -o subformat=streamOptimized" "image.vhdx -O vhdx -o block_size=2M"
    "image.vdi -O vdi" "zstd.qcow2 -c -O qcow2 -o compression_type=zstd,cluster_size=4k")
for ((turn = 0; kills < KILLS; turn++)); do
    # shellcheck disable=SC2086  # a list of words
    again ${conversions[turn % ${#conversions[@]}]} source
done
printf '%s kills survived:' "$kills"
for how in "${!times[@]}"; do printf ' %s %s,' "${times[$how]}" "$how"; done
echo " $went_on runs began with a journal"
finish
