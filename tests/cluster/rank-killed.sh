#!/bin/bash
# A rank is killed while three hosts convert one image: rank 0, another one, then the launcher's
# daemon on a host. The run ends with a message and a code that is not 0, nothing half-made stands
# under the final name, no rank goes on, and the next run ends right: begun anew without --resume,
# gone on with, on fewer hosts too, with it.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/cluster/nodes.bash"
. "$TESTS/cluster/failures.bash"
need_nodes
scratch 900
cd "$T"
failures_prepare
nodes_up 3

kill_on() {
    local pids
    pids=$(node_pids "$1" "$2")
    [ -n "$pids" ] || bad "no $2 on $1"
    # shellcheck disable=SC2086  # a list of numbers
    kill -9 $pids
}

for mpi in $(mpis); do
    resume=()
    interrupt "$mpi" "rank 1 killed" 15 kill_on n1 mpi-img
    gone n0 n1 n2
    again "$mpi" 3
    resume=(--resume)
    interrupt "$mpi" "rank 0 killed" 15 kill_on n0 mpi-img
    gone n0 n1 n2
    again "$mpi" 2
    if [ "$mpi" = openmpi ]; then
        interrupt "$mpi" "daemon killed" 15 kill_on n2 orted
        gone n0 n1 n2
        again "$mpi" 3
    else # Hydra learns of it when the rank ends: the image is whole, its exit code is 255
        echo "note: mpich: killing the daemon of a host is not tried, the launcher does not see it"
    fi
done
finish
