#!/bin/bash
# Memory stays within what was allowed, however large the image and however many the threads:
# measured as the peak of resident memory.
. "$(dirname "$0")/../lib.sh"
need_ours
PAIRS=$BUILD/bench_pairs
[ -x "$PAIRS" ] || skip "bench_pairs is not built"
scratch 3000
cd "$T"
pattern noise $((16 * 1048576)) >block
for i in $(seq 0 39); do
    dd if=block of=source bs=1M seek=$((i * 20)) conv=notrunc status=none
done

# peak NAME MIB CMD...: resident memory at most that much.
peak() {
    local name=$1 most=$2 mib
    shift 2
    mib=$("$PAIRS" --one "$@" 2>"$T/.err" | awk '{ print int($3 / 1024) }') || bad "$name: $(cat "$T/.err")"
    checked
    echo "$name: $mib MiB"
    [ "${mib:-99999}" -le "$most" ] || bad "$name: $mib MiB, more than $most"
}

# what --memory covers are the buffers; code, tables and stacks come on top
for memory in 64 256; do
    for threads in 1 4 16; do
        most=$((memory + 64 + threads * 2))
        args="--memory ${memory}M --threads $threads"
        # shellcheck disable=SC2086  # words
        {
            peak "raw to qcow2, $args" $most "$IMG" convert $args -f raw -O qcow2 source out
            peak "raw to qcow2 -c, $args" $most "$IMG" convert $args -c -f raw -O qcow2 source out
            peak "qcow2 to raw, $args" $most "$IMG" convert $args -f qcow2 -O raw out back
        }
    done
done
peak "compare" 400 "$IMG" compare source out
rm -f out back

# metadata of a huge image: 1 TiB of virtual size with preallocated clusters everywhere
"$IMG" create -q -f qcow2 -o preallocation=metadata,cluster_size=2M huge 1T
peak "info of 1 TiB" 64 "$IMG" info huge
peak "check of 1 TiB" 400 "$IMG" check huge
finish
