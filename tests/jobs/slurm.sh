#!/bin/bash
# slurm-one.sbatch and slurm-fleet.sbatch against stand-ins for Slurm's commands: what is started,
# what becomes of each exit code. (Under a real Slurm: cluster.slurm.)
. "$(dirname "$0")/../lib.sh"
. "$TESTS/jobs/batch.bash"
batch 10
export SLURM_JOB_ID=42 SLURM_CPUS_PER_TASK=3
stand_in srun <<'END'
[ "$*" != --mpi=list ] || { echo "MPI plugin types are... ${PMI:-pmix pmi2}" >&2; exit; }
while [[ ${1:-} == -* ]]; do shift; done
exec "$@"
END
stand_in mpirun <<'END'
shift 4
exec "$@"
END
stand_in scontrol <<<'exit ${SCONTROL:-0}'
stand_in squeue <<<'echo 2030-01-02T03:04:05'

# -- one image -------------------------------------------------------------------------------------

one=$JOBS/slurm-one.sbatch
program 0
try bash "$one" disk.raw 'a target' -f raw -O qcow2 -o 'a=b c'
is "done" 0 $rc
is "started" "--mpi=pmix --kill-on-bad-exit=0 --wait=60 --cpus-per-task=3 mpi-img convert" \
    "$(called srun | grep convert | cut -d' ' -f1-6)"
is "converted" "convert -f raw -O qcow2 -o a=b c --resume disk.raw a target" "$(head -n 1 ran)"
is "told the job's end" "end=$(date -d 2030-01-02T03:04:05 +%s)" "$(tail -n 1 ran)"
is "not requeued when done" "" "$(called scontrol)"

program 75
try bash "$one" disk.raw target
is "stopped" 75 $rc
is "requeued once" "requeue 42" "$(called scontrol)"
is "default options" "convert -O qcow2 --resume disk.raw target" "$(head -n 1 ran)"

for code in 1 2 137; do
    program $code
    try bash "$one" disk.raw target
    is "failed" $code $rc
    is "not requeued after $code" "" "$(called scontrol)"
done

program 0
: >target.mpi-img-part
try bash "$one" disk.raw target
is "srun says 0, but it is unfinished" "1 " "$rc $(called scontrol)"
rm target.mpi-img-part

program 75
SLURM_RESTART_COUNT=3 RESTARTS=3 try bash "$one" disk.raw target
is "too often" "75 " "$rc $(called scontrol)"
program 75
SCONTROL=1 try bash "$one" disk.raw target
is "cannot requeue" 75 $rc
has "cannot requeue" "submit it again" "$(cat .err)"

program 0
SLURM_JOB_END_TIME=1234 PMI=pmi2 try bash "$one" disk.raw target
is "no PMIx: mpirun" "--map-by ppr:1:node --bind-to none mpi-img convert -O qcow2 --resume disk.raw target" \
    "$(called mpirun)"
is "the end that Slurm tells" "end=1234" "$(tail -n 1 ran)"

program 0
SOURCE=s TARGET=t OPTIONS="-O raw -p" RESUME=no LAUNCHER="srun --mpi=pmi2" try bash "$one"
is "by the environment" "--mpi=pmi2 mpi-img convert -O raw -p s t" "$(called srun)"
try bash "$one" disk.raw
is "usage" 1 $rc

# -- a fleet ---------------------------------------------------------------------------------------

fleet=$JOBS/slurm-fleet.sbatch
program 0
try bash "$fleet" images.jsonl -O qcow2 -c
is "fleet" "0 fleet images.jsonl -O qcow2 -c" "$rc $(head -n 1 ran)"
is "fleet done" "" "$(called scontrol)"
program 75
try bash "$fleet" images.jsonl
is "fleet stopped" "75 requeue 42" "$rc $(called scontrol)"
is "fleet without options" "fleet images.jsonl" "$(head -n 1 ran)"
program 1
try bash "$fleet" images.jsonl
is "some images failed" "1 " "$rc $(called scontrol)"
try bash "$fleet"
is "usage" 1 $rc
finish
