#!/bin/bash
# Chunks that are larger than what is converted at a time, on any number of ranks: one result.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/dmg/guest.bash"
need_mpi
scratch 200
cd "$T"

pattern text 1000000 >some
for _ in $(seq 24); do cat some; done >raw
truncate -s $((48 << 20)) raw
udif image.dmg raw chunk=20000 zlib bzip2
good "$IMG" convert --engine=serial -O qcow2 image.dmg serial.qcow2
good "$IMG" compare -q -F raw image.dmg raw
for n in 2 3; do
    try ranks $n "$IMG" convert --threads 2 -O qcow2 image.dmg ranks.qcow2
    checked
    [ $rc = 0 ] || bad "$n ranks: exit $rc"
    cmp serial.qcow2 ranks.qcow2 || bad "$n ranks: other bytes"
done
"$IMG" compare -q -F raw serial.qcow2 raw || bad "other content"
finish
