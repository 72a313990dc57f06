#!/bin/bash
# Slurm starts conversions on three hosts: by srun with each of its plug-ins that fits an MPI, by
# that MPI's own mpirun in the allocation, and as an array of jobs. The batch script is the one that
# users get.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/cluster/nodes.bash"
. "$TESTS/cluster/slurm.bash"
. "$TESTS/same-bytes/engines.bash"
need_slurm
one=$JOBS/slurm-one.sbatch
[ -e "$one" ] || skip "there is no $one"
scratch 800
cd "$T"
guest guest
good "$IMG" convert -f raw -O qcow2 guest alone
nodes_up 3
slurm_up 3

# told: which rank ran where
cat >told <<END
#!/bin/sh
[ "\$1" != convert ] || hostname >>"$T/\$SLURM_JOB_ID.ran-on"
exec "$(readlink -f "$IMG")" "\$@"
END
chmod +x told
export PROGRAM=$T/told

ids=() words=()
# launch WORDS: a job of three ranks that are started so ('': as the script thinks best)
launch() {
    local n=${#ids[@]}
    LAUNCHER=$1 submit "out.$n" -N 3 "$one" guest "target.$n" -f raw -O qcow2
    ids+=("$id") words+=("$1")
}

# The plug-ins that Slurm has.
plugin() {
    slurm srun --mpi=list 2>&1 | grep -qw "$1" || { echo "note: Slurm has no $1"; return 1; }
}

for mpi in $(mpis); do
    mpirun=$(launcher_of "$mpi")
    case $mpi in
    openmpi)
        launch ''
        launch "${mpirun%% *} --map-by ppr:1:node --bind-to none"
        ! plugin pmix || launch "srun --mpi=pmix"
        ;;
    mpich)
        launch "${mpirun%% *} -ppn 1"
        ! plugin pmi2 || launch "srun --mpi=pmi2"
        ;;
    esac
done
[ ${#ids[@]} -gt 0 ] || skip "no MPI"

# An array: a task is a conversion of its own, two hosts each.
cat >array.sbatch <<END
#!/bin/bash
exec ${words[-1]} "$(readlink -f "$IMG")" convert -f raw -O qcow2 guest "array.\$SLURM_ARRAY_TASK_ID"
END
submit array.out.%a --array=0-5%3 -N 2 array.sbatch
array=$id

# An array that shares out a manifest.
for ((i = 0; i < 7; i++)); do
    echo "{\"source\":\"guest\",\"source_format\":\"raw\",\"target\":\"many.$i\",\"target_format\":\"qcow2\"}"
done >many.jsonl
PROGRAM=$IMG submit many.out.%a --array=0-2 -N 1 "$JOBS/slurm-array.sbatch" many.jsonl
many=$id

for n in "${!ids[@]}"; do
    job_ended "${ids[n]}" 60
    how=${words[n]:-by itself}
    checked
    [ "$ended" = "COMPLETED 0:0" ] || bad "$how: $ended: $(cat "out.$n")"
    cmp "target.$n" alone || bad "$how: other bytes than alone"
    [ "$(sort "${ids[n]}.ran-on" | tr '\n' ' ')" = "n0 n1 n2 " ] ||
        bad "$how: ranks ran on $(sort "${ids[n]}.ran-on" | tr '\n' ' ')"
    echo "$how: $ended"
done
for ((i = 0; i < 6; i++)); do
    job_ended "${array}_$i" 60
    checked
    [ "$ended" = "COMPLETED 0:0" ] && cmp "array.$i" alone ||
        bad "task $i: $ended: $(cat "array.out.$i")"
done

for ((i = 0; i < 3; i++)); do
    job_ended "${many}_$i" 60
    checked
    [ "$ended" = "COMPLETED 0:0" ] || bad "part $i of the manifest: $ended: $(cat "many.out.$i")"
done
for ((i = 0; i < 7; i++)); do
    cmp "many.$i" alone || bad "image $i of the manifest: other bytes than alone"
done

# Without any MPI the ranks would not know of each other: one of them works, the others are refused.
submit out.none -N 3 --wrap "srun --mpi=none $IMG convert -r 20M -f raw -O qcow2 guest target.none"
job_ended "$id" 60
checked
[[ $ended = FAILED* ]] && grep -q 'Is another process using' out.none || bad "without MPI: $ended: $(cat out.none)"
finish
