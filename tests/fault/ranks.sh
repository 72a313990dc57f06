#!/bin/bash
# A fault on one rank of several: one error in all, exit code 1 from mpirun, no rank left waiting.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/sweep.bash"
need_reference
need_mpi
scratch 200
sources
truncate -s 64M raw
for i in 5 13 20 33 47 58; do
    put raw $((i * 1048576)) noise 1500000 $i
done
"$REF" convert -f raw -O qcow2 -c raw packed

# on_rank NAME KIND:N:ERRNO:RANK ARGS...: may fail or cope, as in the sweeps of one process.
on_rank() {
    local name=$1 fault=$2 want
    shift 2
    prepare none
    good ranks 3 "$IMG" convert --threads 2 "$@" target || return 0
    want=$(hash_of target)
    prepare old
    rm -f "$T/log"
    FAULT=$fault FAULT_DIR=$T/work FAULT_LOG=$T/log try timeout -k 5 60 \
        mpirun -n 3 --oversubscribe -x LD_PRELOAD="$FAULT_SHIM" -x FAULT -x FAULT_DIR -x FAULT_LOG \
        "$IMG" convert --threads 2 "$@" target
    checked
    # what mpirun says about the exit code is its own
    sed -i '/^-----/,/^-----/d; /^$/d; /^mpirun detected/,$d' "$T/.err"
    judge_target "$name" "$want"
    fired || echo "note: $name: never came to that call"
}

for rank in 0 1 2; do
    for n in 1 3; do
        on_rank "write $n on rank $rank" write:$n:$ENOSPC:$rank -f raw -O qcow2 raw
        on_rank "packed write $n on rank $rank" write:$n:$ENOSPC:$rank -c -f raw -O qcow2 raw
        on_rank "read $n on rank $rank" read:$n:$EIO:$rank -O raw packed
        on_rank "sync $n on rank $rank" sync:$n:$EIO:$rank -f raw -O qcow2 raw
    done
done
on_rank "no access on rank 1" open:1:$EACCES:1 -f raw -O qcow2 raw
on_rank "no access to the target on rank 2" open:2:$EACCES:2 -f raw -O qcow2 raw
finish
