#!/bin/bash
# bench/ceiling.sh [ROW...]   what rank 0 can feed; without names all rows
#
#   engine      the engine with nothing to do, on 1 to 64 real ranks: shared memory and TCP, of each
#               MPI that there is
#   hosts       the same on 16 ranks of four hosts by namespaces (needs root)
#   feed        a thousand pretended ranks at 1 GB/s each, by chunk size, without and with the
#               placing of qcow2
#   placing     what placing costs, by chunks under way, for some formats
#   simulation  1 to 4,096 ranks, from the costs of this machine's shared memory and of TCP;
#               simulation.svg and simulation-tcp.svg in this folder
#
#   UNITS=100000 RUNS=3 RANKS="4 16 64" THREADS="1 4"    of the row engine
#   FEED_RANKS=1000 SECONDS_EACH=5                       of the row feed
#
# What counts is rank 0's CPU time for a unit: here all ranks share some cores, in a cluster rank 0's
# main thread has one.
set -euo pipefail
export LC_ALL=C OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# when there is nothing to do Open MPI would yield the core, time and again; our naps do that
export OMPI_MCA_mpi_yield_when_idle=0
here=$(cd "$(dirname "$0")" && pwd)
BUILD=$(realpath "${BUILD:-$here/../../build}")
export BUILD
build=$BUILD
UNITS=${UNITS:-100000} RUNS=${RUNS:-3} RANKS=${RANKS:-4 16 64} THREADS=${THREADS:-1 4}
FEED_RANKS=${FEED_RANKS:-1000} SECONDS_EACH=${SECONDS_EACH:-5}

# on WAY RANKS CMD...: under the launcher of that MPI, over shared memory or TCP
on() {
    local way=$1 n=$2
    shift 2
    case $way in
    openmpi-shm) mpirun.openmpi --oversubscribe --mca pml ob1 --mca btl self,vader -n "$n" "$@" ;;
    openmpi-tcp) mpirun.openmpi --oversubscribe --mca pml ob1 --mca btl self,tcp -n "$n" "$@" ;;
    mpich-shm) mpirun.mpich -n "$n" "$@" ;;
    mpich-tcp) UCX_TLS=tcp,self mpirun.mpich -n "$n" "$@" ;;
    esac
}

ways() {
    local mpi
    for mpi in openmpi mpich; do
        if command -v "mpirun.$mpi" >/dev/null && [ -e "$build/mpi-img-$mpi.so" ]; then
            echo "$mpi-shm" "$mpi-tcp"
        else
            echo "note: $mpi is left out" >&2
        fi
    done
}

row_engine() {
    local way n t
    "$build/bench_ceiling" -e threads -t 4 -u "$UNITS" -r "$RUNS" | tail -n 1
    for n in $RANKS; do
        for t in $THREADS; do
            for way in $(ways); do
                printf '%-12s' "$way"
                on "$way" "$n" "$build/bench_ceiling" -t "$t" -u "$UNITS" -r "$RUNS" | tail -n 1
            done
        done
    done
}

# in a shell of its own: what lib.sh sets up ends with it
row_hosts() (
    . "$here/../lib.sh"
    . "$TESTS/cluster/nodes.bash"
    need_nodes
    scratch 200
    cd "$T"
    nodes_up 4
    for mpi in $(mpis); do
        for t in $THREADS; do
            printf '%-12s' "$mpi-hosts"
            # shellcheck disable=SC2046  # words
            on_node n0 $("launch_$mpi") -host "$(host_list 4 4)" -n 16 \
                "$BUILD/bench_ceiling" -t "$t" -u "$UNITS" -r "$RUNS" 2>&1 | tail -n 1
        done
    done
)

row_feed() {
    local way o
    for way in $(ways); do
        for o in "-c 1" "-c 1 -f qcow2" "-c 4" "-c 4 -f qcow2" "-c 16"; do
            printf '%-12s' "$way"
            # shellcheck disable=SC2086  # words
            on "$way" 4 "$build/bench_feed" -n "$FEED_RANKS" -s "$SECONDS_EACH" $o
        done
    done
}

row_placing() {
    local o
    for o in "-w 16 qcow2" "-w 65000 qcow2" "-w 65000 -p 30000 qcow2" "-w 16000 -s 8192 qcow2" \
        "-w 65000 vhdx" "-w 65000 vmdk"; do
        # shellcheck disable=SC2086  # words
        "$build/bench_placing" $o
    done
}

row_simulation() {
    "$build/bench_simulate" -m 1 -o simulation.svg
    "$build/bench_simulate" -m 4 -o simulation-tcp.svg
}

[ $# -gt 0 ] || set -- engine hosts feed placing simulation
for row; do
    command -v "row_$row" >/dev/null || { echo "no row $row" >&2; exit 1; }
    printf '\n%s\n' "$row"
    "row_$row" || [ $? = 77 ] # left out
done
