#!/bin/bash
# A host dies while three convert one image: all its processes are gone at once. The run ends with a
# message and a code that is not 0, nothing half-made stands under the final name, the other hosts
# are left clean. Two hosts go on with it then; or three, when the dead one has come back.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/cluster/nodes.bash"
. "$TESTS/cluster/failures.bash"
need_nodes
scratch 900
cd "$T"
failures_prepare
nodes_up 3

for mpi in $(mpis); do
    interrupt "$mpi" "host crashed" 25 node_crash n2
    gone n0 n1
    again "$mpi" 2
    node_start n2 12
    interrupt "$mpi" "host of rank 0 and launcher crashed" 25 node_crash n0
    gone n1 n2
    node_start n0 10
    again "$mpi" 3
done
finish
