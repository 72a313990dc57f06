#!/bin/bash
# A target file system that cannot hold what is to be made: the plan says so, the run is refused
# before anything is written, and goes on when it is told to.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/fleet.bash"
[ "$(id -u)" = 0 ] || skip "mounting needs root"
scratch 100
cd "$T"
mkdir in small
mount -t tmpfs -o size=3m tmpfs small 2>/dev/null || skip "no file system can be mounted here"
at_exit+=('umount -l "$T/small"')
for i in 1 2 3; do
    truncate -s 4M in/$i.raw
    put in/$i.raw 0 noise $((3 << 19)) $i
    echo "{\"source\":\"in/$i.raw\",\"target\":\"small/$i.qcow2\",\"target_format\":\"qcow2\"}"
done >full.jsonl

for run in --dry-run "-p"; do
    try "$IMG" fleet $run full.jsonl
    ended 1
    said "The targets need about"
    said "on the file system of '$T/small', which has"
    checked
    [ -z "$(ls small)" ] && [ ! -e full.jsonl.results ] || bad "$run: something was written"
done
said "--no-space-check"
try "$IMG" fleet --dry-run full.jsonl
said "NOT ENOUGH"

# two of them do fit: what does not fails, alone
try "$IMG" fleet --no-space-check --threads 1 full.jsonl
ended 1
said "No space left on device"
checked
[ "$(ls small | wc -l)" -ge 1 ] || bad "none of the images was made"
for f in small/*.qcow2; do
    good "$IMG" compare "$f" "in/$(basename "$f" .qcow2).raw"
done
finish
