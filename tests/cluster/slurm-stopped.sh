#!/bin/bash
# Conversions under Slurm that are stopped, in all ways in which Slurm does that, and go on: by the
# signal before the time is over, to the ranks and to the batch script; by the end of the job, which
# they know; by scancel; by scontrol requeue; a task of an array alone; a fleet. What the batch script sees is
# exit code 75; it puts the job back into the queue. The bytes are those of a run that was not
# disturbed. All at once: Slurm looks only every 30 seconds who must be signalled.
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
export MPI_IMG_CHECKPOINT=600000 # what is recorded is recorded at a stop
head -c $((120 * MIB)) /dev/urandom >source
good "$IMG" convert -f raw -O qcow2 source right
[[ " "$(mpis | tr '\n' ' ') = *" openmpi "* ]] || skip "no Open MPI"

# A conversion takes 40 s until it has been put back. Little is in flight: that is finished first.
cat >program <<END
#!/bin/sh
if [ "\${SLURM_RESTART_COUNT:-0}" = 0 ]; then
    command=\$1
    shift
    exec "$(readlink -f "$IMG")" "\$command" -r 3M --threads 1 "\$@"
fi
exec "$(readlink -f "$IMG")" "\$@"
END
chmod +x program
export PROGRAM=$T/program
nodes_up 3
slurm_up 3
begin=$SECONDS

# right_one NAME ID: that job has ended well, and has been put back at least so often
right_one() {
    local name=$1 id=$2 least=$3 n
    job_ended "$id" 60
    checked
    n=$(restarts "$id")
    [ "$ended" = "COMPLETED 0:0" ] || bad "$name: $ended: $(cat "$name.out")"
    [ "$n" -ge "$least" ] || bad "$name: restarts: $n: $(cat "$name.out")"
    cmp "$name" right || bad "$name: other bytes"
    [ ! -e "$name$JOURNAL" ] && [ ! -e "$name$PART" ] || bad "$name: left behind: $(echo "$name".*)"
    echo "$name: $ended, put back $n times, $((SECONDS - begin)) s"
    rm -f "$name"
}

has_written_some() {
    has_written "$1" $((2 * MIB))
}

# has_records NAME: more than the head that it is begun with
has_records() {
    [ "$(journal_size "$1")" -gt 1000 ]
}

# 1. the signal goes to the ranks; 2. to the batch script, which hands it on to mpirun
submit signal.out -N 3 --time=1 --signal=USR2@55 "$one" source signal -f raw -O qcow2
signal=$id
cat >batch.sbatch <<END
#!/bin/bash
mpirun --map-by ppr:1:node --bind-to none "$PROGRAM" convert --resume -f raw -O qcow2 source batch &
pid=\$!
trap 'kill -USR2 \$pid' USR2
code=0
while kill -0 \$pid 2>/dev/null; do wait \$pid; code=\$?; done
[ \$code != 75 ] || scontrol requeue \$SLURM_JOB_ID
exit \$code
END
submit batch.out -N 2 --time=1 --signal=B:USR2@55 --requeue --open-mode=append batch.sbatch
batch=$id

# 3. the end of the job
SLURM_JOB_END_TIME=$(($(date +%s) + 6)) submit end.out -N 2 "$one" source end -f raw -O qcow2
end=$id

# 4. put back by an administrator; 5. scancel; 6. one task of an array
submit requeued.out -N 2 "$one" source requeued -f raw -O qcow2
requeued=$id
submit cancelled.out -N 3 "$one" source cancelled -f raw -O qcow2
cancelled=$id
cat >array.sbatch <<END
#!/bin/bash
code=0
[ \$SLURM_ARRAY_TASK_ID = 1 ] || PROGRAM="$IMG" # it is in nobody's way
srun --mpi=pmix --kill-on-bad-exit=0 "\$PROGRAM" convert --resume -f raw -O qcow2 source "task\$SLURM_ARRAY_TASK_ID" || code=\$?
[ \$code != 75 ] || scontrol requeue "\${SLURM_ARRAY_JOB_ID}_\$SLURM_ARRAY_TASK_ID"
exit \$code
END
submit task%a.out -N 2 --array=0-1 --requeue --open-mode=append array.sbatch
array=$id

# 7. a fleet, of which the first image is shared out
mkdir fleet
for ((i = 0; i < 4; i++)); do
    head -c $((8 * MIB)) /dev/urandom >"small.$i"
    echo "{\"source\":\"small.$i\",\"source_format\":\"raw\",\"target\":\"fleet/$i\",\"target_format\":\"raw\"}"
done >fleet.jsonl
echo '{"source":"source","source_format":"raw","target":"fleet/large","target_format":"qcow2"}' >>fleet.jsonl
submit fleet.out -N 2 "$JOBS/slurm-fleet.sbatch" fleet.jsonl --whole-below 16M
fleet=$id

wait_for 30 has_written_some requeued || bad "requeued: does not begin"
slurm scontrol requeue "$requeued"
wait_for 30 has_written_some cancelled || bad "cancelled: does not begin"
slurm scancel "$cancelled"
wait_for 30 has_written_some task1 || bad "task1: does not begin"
slurm scancel --signal=USR2 "${array}_1"

wait_for 30 has_written_some fleet/large || bad "fleet: does not begin: $(cat fleet.out)"
slurm scancel --signal=USR2 "$fleet"

job_ended "$cancelled" 30
checked
[ "${ended% *}" = CANCELLED ] || bad "cancelled: $ended"
wait_for 10 has_records cancelled || bad "cancelled: nothing was recorded: $(cat cancelled.out)"
[ ! -e cancelled ] || bad "cancelled: it has its name"
PROGRAM=$IMG submit cancelled.out -N 2 "$one" source cancelled -f raw -O qcow2
right_one cancelled "$id" 0

right_one requeued "$requeued" 1
job_ended "$fleet" 60
checked
[ "$ended" = "COMPLETED 0:0" ] && [ "$(restarts "$fleet")" -gt 0 ] || bad "fleet: $ended: $(cat fleet.out)"
cmp fleet/large right || bad "fleet: other bytes"
for ((i = 0; i < 4; i++)); do cmp "fleet/$i" "small.$i" || bad "fleet, $i: other bytes"; done
[ "$(ls -A fleet | wc -l)" = 5 ] || bad "fleet: left behind: $(ls -A fleet)"
echo "fleet: $ended, put back $(restarts "$fleet") times, $((SECONDS - begin)) s"
right_one end "$end" 1
grep -q "Stopped before the time is over" end.out || bad "end: $(cat end.out)"
right_one task1 "${array}_1" 1
right_one task0 "${array}_0" 0
right_one signal "$signal" 1
grep -q "Stopped by signal .*the same command goes on" signal.out || bad "signal: $(cat signal.out)"
right_one batch "$batch" 1
finish
