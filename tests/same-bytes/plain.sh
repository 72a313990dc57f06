#!/bin/bash
# Every format that can be written: the same bytes on any engine, any number of threads and ranks.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/same-bytes/engines.bash"
need_mpi
scratch 600
guest "$T/guest"
for format in $(formats); do
    same "$format" "$format" -f raw "$T/guest"
    same "$format -S 0" "$format" -f raw -S 0 "$T/guest"
done
finish
