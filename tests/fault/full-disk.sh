#!/bin/bash
# A file system that really is full: the error of the system, nothing left, the space given back.
. "$(dirname "$0")/../lib.sh"
need_ours
scratch 100
mkdir "$T/small"
mount -t tmpfs -o size=8m tmpfs "$T/small" 2>/dev/null || skip "may not mount a small tmpfs"
at_exit+=("umount -l '$T/small'")
pattern noise $((20 * 1048576)) >"$T/source"

full() {
    local used
    used=$(df -P "$T/small" | awk 'NR == 2 { print $3 }')
    try timeout 60 "$IMG" convert -f raw "$@" "$T/source" "$T/small/target"
    checked
    [ $rc = 1 ] || bad "exit $rc, not 1: $*"
    grep -q 'No space left on device' "$T/.err" || bad "another error: $(cat "$T/.err")"
    [ ! -e "$T/small/target" ] || bad "a half-written target stands: $*"
    [ -z "$(ls -A "$T/small")" ] || bad "left behind: $(ls -A "$T/small")"
    [ "$(df -P "$T/small" | awk 'NR == 2 { print $3 }')" -le "$used" ] || bad "space is not given back"
}

full -O raw
full -O qcow2
full -c -O qcow2
full -O qcow2 -o preallocation=falloc
full -O qcow2 -o preallocation=full
finish
