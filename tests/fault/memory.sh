#!/bin/bash
# Memory runs out at any point of a conversion.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/sweep.bash"
need_reference
need_ours
scratch 100
sources

for engine in serial threads; do
    for args in "-f raw -O qcow2 raw" "-c -f raw -O qcow2 raw" "-O raw packed" \
        "-O raw packed-zstd" "-O qcow2 -o compression_type=zstd -c chain" \
        "-O qcow2 -B packed -F qcow2 chain"; do
        # shellcheck disable=SC2086  # words
        sweep_target "convert $args, $engine" alloc $ENOMEM 120 \
            "$IMG" convert --engine=$engine --threads 2 $args target
    done
done
finish
