#!/bin/bash
# The same for compressed output, with every codec and level that the formats know.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/same-bytes/engines.bash"
need_mpi
scratch 600
guest "$T/guest"

# can FORMAT ARGS...: does the format take -c with these?
can() {
    local format=$1
    shift
    truncate -s 1M "$T/small"
    "$IMG" convert -O "$format" -c "$@" -f raw "$T/small" "$T/packed" >/dev/null 2>&1
}

for format in $(formats); do
    can "$format" || continue
    same "$format -c" "$format" -c -f raw "$T/guest"
    for level in 1 6 9; do
        same "$format -c level $level" "$format" -c --compression-level "$level" -f raw "$T/guest"
    done
    for codec in zlib zstd; do
        can "$format" -o "compression_type=$codec" || continue
        same "$format -c $codec" "$format" -c -o "compression_type=$codec" -f raw "$T/guest"
    done
done
finish
