#!/bin/bash
# Images of 4 TiB and more, which have larger chunks: the same bytes on any engine; and just below,
# so do those that have not.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/same-bytes/engines.bash"
need_mpi
scratch 600
guest "$T/small"
# The original would look at each cluster.
right() {
    good "$IMG" compare -f raw -F "$2" "$T/guest" "$T/serial.out" || bad "$1: not what went in"
}
tib=1099511627776
for size in $((5 * tib + 3 * 512)) $((4 * tib - 65536)); do
    rm -f "$T/guest"
    truncate -s $size "$T/guest" 2>/dev/null || skip "no file of $size bytes on this file system"
    # across the borders of chunks of either size, at the front and far behind
    dd if="$T/small" of="$T/guest" bs=64k conv=notrunc,sparse status=none
    dd if="$T/small" of="$T/guest" bs=64k seek=$((3 * tib / 65536 + 40)) conv=notrunc,sparse status=none
    put "$T/guest" $((size - 100000)) noise 100000 11
    same "$size" qcow2 -f raw "$T/guest"
    same "$size -c" qcow2 -c -f raw "$T/guest"
    same "$size of 2 MiB" qcow2 -o cluster_size=2M -f raw "$T/guest"
    same "$size vhdx" vhdx -f raw "$T/guest"
done
finish
