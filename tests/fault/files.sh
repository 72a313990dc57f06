#!/bin/bash
# Every read, write, sync, truncate, open and rename of every kind of conversion fails once.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/sweep.bash"
need_reference
need_ours
scratch 100
sources

conversions() {
    local call=$1 engine
    shift
    for engine in serial threads; do
        $call "raw to qcow2, $engine" "$@" "$IMG" convert --engine=$engine -f raw -O qcow2 raw target
        $call "raw to qcow2 -c, $engine" "$@" "$IMG" convert --engine=$engine -c -f raw -O qcow2 raw target
        $call "qcow2 to raw, $engine" "$@" "$IMG" convert --engine=$engine -O raw plain target
        $call "packed to raw, $engine" "$@" "$IMG" convert --engine=$engine -O raw packed target
        $call "chain to qcow2, $engine" "$@" "$IMG" convert --engine=$engine -O qcow2 chain target
    done
}

failing() {
    sweep_target "$@"
    must_fail "$1"
}

failing_if_any() { # truncate: raw may set its length by other means
    sweep_target "$@"
}

for spec in write:$ENOSPC write:$EIO sync:$EIO; do
    call_kind=${spec%:*} call_no=${spec#*:}
    one() {
        local name=$1
        shift
        failing "$name" "$call_kind" "$call_no" 40 "$@"
    }
    conversions one
done
for spec in read:$EIO open:$EACCES rename:$EACCES truncate:$ENOSPC allocate:$ENOSPC; do
    call_kind=${spec%:*} call_no=${spec#*:}
    two() {
        local name=$1
        shift
        failing_if_any "$name" "$call_kind" "$call_no" 30 "$@"
    }
    conversions two
done
sweep_target "copy offload" copy $EIO 40 "$IMG" convert -C -f raw -O raw raw target
finish
