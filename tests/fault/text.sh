#!/bin/bash
# The same for what only reads: info, check, compare, map, measure; and for create.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/sweep.bash"
need_reference
need_ours
scratch 100
sources

for kind in read:$EIO open:$EACCES alloc:$ENOMEM; do
    no=${kind#*:} kind=${kind%:*}
    sweep_text info $kind $no 60 "$IMG" info --output=json --backing-chain chain
    sweep_text check $kind $no 60 "$IMG" check --output=json packed
    sweep_text compare $kind $no 60 "$IMG" compare --engine=serial raw packed
    sweep_text map $kind $no 60 "$IMG" map --output=json chain
    sweep_text measure $kind $no 60 "$IMG" measure -O qcow2 --output=json plain
done
for kind in write:$ENOSPC sync:$EIO truncate:$ENOSPC alloc:$ENOMEM; do
    no=${kind#*:} kind=${kind%:*}
    sweep_target create $kind $no 60 "$IMG" create -q -f qcow2 target 1G
    sweep_target "create, with preallocation" $kind $no 60 \
        "$IMG" create -q -f qcow2 -o preallocation=metadata target 64M
done
finish
