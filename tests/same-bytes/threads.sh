#!/bin/bash
# Threads alone, without a launcher, on all kinds of work: quick enough for a build with the thread
# sanitizer, which is what it is for.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/same-bytes/engines.bash"
need_ours
scratch 600
guest "$T/guest"
engines=(serial threads-2 threads-5 threads-16)
same plain qcow2 -f raw "$T/guest"
same zlib qcow2 -c -f raw "$T/guest"
same zstd qcow2 -c -o compression_type=zstd,cluster_size=4k -f raw "$T/guest"
good on serial convert -f raw -O qcow2 -c "$T/guest" "$T/packed"
truncate -s %512 "$T/guest"
same "from packed" raw -f qcow2 "$T/packed"
for engine in "${engines[@]}"; do
    good on $engine compare "$T/guest" "$T/packed" || true
    good on $engine check "$T/packed" || true
    good on $engine map --output=json "$T/packed" || true
done
finish
