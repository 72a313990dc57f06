#!/bin/bash
# Past the page cache, on a disk: requests that cannot be queued, reads and writes that fail.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/sweep.bash"
need_reference
need_ours
TEST_DIR=${TEST_DIR:-/var/tmp} scratch 100
[ "$(stat -f -c %T "$T")" != tmpfs ] || skip "no disk at hand: $T is in memory (TEST_DIR names another)"
sources
# enough for several requests at a time, which is when they are queued
pattern noise 3000000 5 >noise

for spec in submit:$EIO read:$EIO write:$ENOSPC sync:$EIO; do
    sweep_target "raw to qcow2" "${spec%:*}" "${spec#*:}" 40 \
        "$IMG" convert -t none -T none -f raw -O qcow2 noise target
    sweep_target "packed to raw" "${spec%:*}" "${spec#*:}" 40 \
        "$IMG" convert -t none -T none -O raw packed target
done
[ "$(count_calls submit "$IMG" convert -t none -T none -f raw -O qcow2 noise target)" -gt 0 ] ||
    bad "nothing is ever queued"
finish
