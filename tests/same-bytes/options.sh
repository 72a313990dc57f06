#!/bin/bash
# qcow2's create options, backing files and other sources: the same bytes on any engine.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/same-bytes/engines.bash"
need_mpi
need_reference
scratch 900
guest "$T/guest"
truncate -s %512 "$T/guest"

for options in cluster_size=512 cluster_size=4k cluster_size=2M refcount_bits=1 refcount_bits=64 \
    compat=0.10 preallocation=metadata preallocation=falloc preallocation=full \
    extended_l2=on,cluster_size=16k; do
    good "$IMG" create -q -f qcow2 -o "$options" "$T/probe" 1M || continue
    same "-o $options" qcow2 -o "$options" -f raw "$T/guest"
done
for options in cluster_size=4k cluster_size=2M cluster_size=4k,compression_type=zstd; do
    same "-c -o $options" qcow2 -c -o "$options" -f raw "$T/guest"
done

# sources whose clusters are scattered, packed, in a chain
"$REF" convert -f raw -O qcow2 -m 16 -W -o cluster_size=4k "$T/guest" "$T/scattered"
same "from scattered" qcow2 -f qcow2 "$T/scattered"
"$REF" convert -f raw -O qcow2 -c "$T/guest" "$T/packed"
same "from packed" raw -f qcow2 "$T/packed"
"$REF" create -q -f qcow2 -b packed -F qcow2 "$T/overlay"
"$REF_IO" -f qcow2 -c "write -P 1 30M 3M" -c "write -z 20M 1M" "$T/overlay" >/dev/null
"$REF" convert -f qcow2 -O raw "$T/overlay" "$T/guest"
same "from a chain" qcow2 -f qcow2 "$T/overlay"
same "-B" qcow2 -c -f qcow2 -B "$T/packed" -F qcow2 "$T/overlay"
finish
