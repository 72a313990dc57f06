#!/bin/bash
# slurm-array.sbatch: the parts of a manifest hold each record once, whatever the number of tasks, and
# each task asks for itself alone to come back.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/jobs/batch.bash"
batch 10
export SLURM_JOB_ID=50 SLURM_ARRAY_JOB_ID=42
stand_in srun <<'END'
while [[ ${1:-} == -* ]]; do [ "$1" != -n ] || shift; shift; done
exec "$@"
END
stand_in scontrol <<<'exit 0'
stand_in squeue <<<'exit 1'
array=$JOBS/slurm-array.sbatch

mkdir sub
for ((i = 0; i < 23; i++)); do
    echo "{\"source\": \"in $i.raw\", \"target\": \"$i.qcow2\"}"
    [ $((i % 7)) != 3 ] || echo
done >sub/m.jsonl
{
    echo source,target,id
    for ((i = 0; i < 10; i++)); do
        [ $i = 7 ] || echo "$i.raw,$i.qcow2,"
        [ $i != 7 ] || printf '%s\n' '"7\n.raw",7.qcow2,"a ""quoted"" one' '' 'over lines"'
    done
} >list

task() {
    local k=$1
    shift
    SLURM_ARRAY_TASK_ID=$k try bash "$array" "$@"
    is "task $k of $*" 0 $rc
}

for n in 1 2 5 23 30; do
    program 0
    rm -f sub/m.jsonl.*
    for ((k = 0; k < n; k++)); do
        SLURM_ARRAY_TASK_COUNT=$n task $k sub/m.jsonl -O qcow2
        is "its part" "fleet sub/m.jsonl.$k-of-$n.jsonl -O qcow2" "$(tail -n 2 ran | head -n 1)"
    done
    is "JSON over $n" "$(sort sub/m.jsonl | grep .)" "$(sort sub/m.jsonl.*-of-"$n".jsonl)"
    is "parts are equal" 1 "$(wc -l sub/m.jsonl.*-of-"$n".jsonl | awk '$2 != "total" {
        if (min == "" || $1 < min) min = $1; if ($1 > max) max = $1 } END { print max - min <= 1 }')"
done
is "nothing else is left" "" "$(find sub -name '*.new')"

program 0
for k in 0 1 2; do
    PARTS=3 SLURM_ARRAY_TASK_COUNT=1 task $k list
    is "head of CSV" source,target,id "$(head -n 1 "list.$k-of-3.csv")"
done
is "CSV over 3" "$(tail -n +2 list | sort)" "$(tail -qn +2 list.*-of-3.csv | sort)"
is "a record over lines stays whole" 1 "$(grep -c -A 2 'quoted' list.1-of-3.csv)"
is "its lines" "over lines\"" "$(tail -n 1 list.1-of-3.csv)"

export SLURM_ARRAY_TASK_COUNT=4
program 75
SLURM_ARRAY_TASK_ID=3 try bash "$array" sub/m.jsonl
is "stopped" "75 requeue 42_3" "$rc $(called scontrol)"
has "one process" "--mpi=none" "$(called srun)"
program 1
SLURM_ARRAY_TASK_ID=3 try bash "$array" sub/m.jsonl
is "failed" "1 " "$rc $(called scontrol)"
SLURM_ARRAY_TASK_ID=4 try bash "$array" sub/m.jsonl
is "a task too many" 1 $rc
try bash "$array" sub/m.jsonl
is "no array" 1 $((rc != 0))

echo '{"source": "a", "target": "b", "backing_file": "c", "backing_format": "raw"}' >chain.jsonl
SLURM_ARRAY_TASK_ID=0 try bash "$array" chain.jsonl
is "chains" 1 $rc
program 0
CHAINS=apart task 0 chain.jsonl
finish
