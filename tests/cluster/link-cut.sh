#!/bin/bash
# A host cannot be reached any more while three convert one image: its packets vanish, nobody is
# told. Rank 0 says after a while which rank and host it misses, and ends; nothing half-made stands
# under the final name. The other hosts go on with it. When the link is back, that host soon is clean,
# and has changed nothing.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/cluster/nodes.bash"
. "$TESTS/cluster/failures.bash"
need_nodes
scratch 900
cd "$T"
failures_prepare
nodes_up 3
export MPI_IMG_RANK_TIMEOUT=5 # before TCP gives up (nodes.bash)

# As the launcher does it by itself: without keep-alives it would wait 8 minutes.
launch_openmpi() {
    echo "$(launcher_of openmpi) --mca plm_rsh_agent $T/nodes/ssh --mca btl tcp,self,vader
        --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0"
}

# Hydra waits for ever for its daemon on the silent host: all that is ours has ended before.
cut_and_end() {
    node_cut n2
    gone_by 30 n0 n1
    # shellcheck disable=SC2046  # a list of numbers
    kill $(node_pids n0 mpirun.mpich)
}

for mpi in $(mpis); do
    breaks=node_cut
    if [ "$mpi" = mpich ]; then
        echo "note: mpich: the launcher would not end by itself, it is told to"
        breaks=cut_and_end
    fi
    interrupt "$mpi" "link cut" 40 $breaks n2
    checked
    [ "$(grep -c 'Nothing has been heard of rank 2 on n2 for 5 seconds' .err)" = 1 ] ||
        bad "$mpi: does not say whom it misses: $(cat .err)"
    # Hydra has been ended, its code is its own
    [ "$mpi" = mpich ] || [ "$rc" = 75 ] || bad "$mpi: exit code $rc"
    gone n0 n1
    again "$mpi" 2
    node_join n2
    gone n2
    checked
    cmp "$T/made" "$T/right" || bad "$mpi: the host that was cut off has changed the image"
done
finish
