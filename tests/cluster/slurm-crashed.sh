#!/bin/bash
# A node dies under Slurm, slurmd and all: one that runs a rank of a conversion, and the batch script
# and rank 0 of another one. Slurm finds it down, puts both jobs back into the queue, and they go on
# with what was recorded before: on other nodes, and on that one when it is there again.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/resume/resume.bash"
. "$TESTS/cluster/nodes.bash"
. "$TESTS/cluster/slurm.bash"
need_slurm
one=$JOBS/slurm-one.sbatch
[ -e "$one" ] || skip "there is no $one"
scratch 1500
cd "$T"
export MPI_IMG_SEED=1
head -c $((80 * MIB)) /dev/urandom >source
good "$IMG" convert -f raw -O qcow2 source right

# Slow until it has been put back; then it says what it finds.
cat >program <<END
#!/bin/sh
if [ "\$1" = convert ]; then
    shift
    [ "\${SLURM_RESTART_COUNT:-0}" != 0 ] || set -- -r 3M --threads 1 "\$@"
    set -- convert "\$@"
    for target; do :; done
    [ "\$SLURM_PROCID" != 0 ] || echo "restart \${SLURM_RESTART_COUNT:-0}: \$(stat -c %s "\$target$JOURNAL" 2>/dev/null || echo no) recorded"
fi
exec "$(readlink -f "$IMG")" "\$@"
END
chmod +x program
export PROGRAM=$T/program
nodes_up 4
SLURMD_TIMEOUT=4 slurm_up 4

submit rank.out -w n1,n2 -N 2 "$one" source rank -f raw -O qcow2
rank=$id
submit script.out -w n2,n3 -N 2 "$one" source script -f raw -O qcow2
script=$id
recorded() {
    [ "$(journal_size rank)" -gt 2000 ] && [ "$(journal_size script)" -gt 2000 ]
}
wait_for 40 recorded || bad "nothing is recorded: $(cat ./*.out)"
begin=$SECONDS
node_crash n2

# put_back NAME ID: by Slurm alone
put_back() {
    wait_for 60 job_is "$2" "PENDING|COMPLETED" || bad "$1: not put back: $(job_state "$2"), $(cat "$1.out")"
    echo "$1: $(job_state "$2") $((SECONDS - begin)) s after the crash"
}

# well NAME ID
well() {
    job_ended "$2" 60
    checked
    [ "$ended" = "COMPLETED 0:0" ] || bad "$1: $ended: $(cat "$1.out")"
    [ "$(restarts "$2")" -gt 0 ] || bad "$1: restarts: $(restarts "$2")"
    cmp "$1" right || bad "$1: other bytes"
    [ ! -e "$1$JOURNAL" ] && [ ! -e "$1$PART" ] || bad "$1: left behind: $(echo "$1".*)"
    grep -qx "restart [1-9]: [0-9][0-9]* recorded" "$1.out" || bad "$1: did not go on: $(cat "$1.out")"
    echo "$1: $ended, $((SECONDS - begin)) s after the crash, $(grep "^restart [1-9]" "$1.out")"
}

put_back rank "$rank"
slurm scontrol update jobid="$rank" reqnodelist= # any nodes will do
well rank "$rank"
put_back script "$script"
node_start n2 12
slurm_node n2
well script "$script"
finish
