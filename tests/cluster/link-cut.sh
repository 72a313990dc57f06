#!/bin/bash
# A host cannot be reached any more while three convert one image: its packets vanish, nobody is
# told. With keep-alives (nodes.bash) the run ends in bounded time with a message and a code that is
# not 0; nothing half-made stands under the final name. When the link is back, the host is clean and
# the next run ends right.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/cluster/nodes.bash"
. "$TESTS/cluster/failures.bash"
need_nodes
scratch 900
cd "$T"
failures_prepare
nodes_up 3

for mpi in $(mpis); do
    interrupt "$mpi" "link cut" 40 node_cut n2
    gone n0 n1
    node_join n2
    gone n2
    again "$mpi" 3
done
finish
