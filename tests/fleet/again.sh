#!/bin/bash
# One image that cannot be converted fails alone; the second run does that one and no other; a third
# has nothing to do. What has changed is done again.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/fleet.bash"
scratch 200
cd "$T"
small 9
cp in/1.qcow2 good.qcow2
printf 'xxxxxxxx' | dd of=in/1.qcow2 bs=1 seek=48 conv=notrunc status=none # where the L1 table is
manifest out >m.jsonl

try "$IMG" fleet m.jsonl
ended 1
said "9 images: 8 done, 1 failed, 0 done before, 0 left"
said "out/1.qcow2.out: "
said "Could not open '$T/in/1.qcow2'"
checked
[ "$(field status <m.jsonl.results | sort | uniq -c | tr -s ' \n' ' ')" = ' 8 "done" 1 "failed" ' ] ||
    bad "the results say otherwise"
[ "$(ls out | wc -l)" = 8 ] || bad "$(ls out | wc -l) files"
stat -c '%n %i %Y' out/* >before

# -- tried again, and not gone on with -------------------------------------------------------------
try "$IMG" fleet --retries 2 --progress=json m.jsonl
ended 1
said "warning: out/1.qcow2.out: Could not open '$T/in/1.qcow2'"
said "; it will be tried again"
said '"status":"again"'
said "9 images: 0 done, 1 failed, 8 done before, 0 left"
checked
[ "$(field attempts <m.jsonl.results | tail -1)" = 3 ] || bad "not three attempts"
[ "$(records image m.jsonl.results)" = 10 ] || bad "an attempt has a record of its own"
try "$IMG" fleet --engine serial --fail-fast --results fast -r 100M m.jsonl
ended 1
said "1 failed"
checked
[ "$(records image fast)" -lt 9 ] || bad "--fail-fast did all images"
for f in out/*; do
    [ "$f" = out/1.qcow2.out ] || touch "$f" # as any change: what is done is not what it was
done
try "$IMG" fleet m.jsonl
said "8 have changed since"
stat -c '%n %i %Y' out/* >before

# -- mended ---------------------------------------------------------------------------------------
cp good.qcow2 in/1.qcow2
good "$IMG" fleet m.jsonl
said "8 of 9 images were done by an earlier run, 1 are to be done; 1 failed then, or were stopped"
good "$IMG" compare in/1.qcow2 out/1.qcow2.out
stat -c '%n %i %Y' $(cut -d' ' -f1 before) >after
checked
cmp before after || bad "images were done again"
[ "$(records image m.jsonl.results)" = 20 ] || bad "the second run did not do one image"
good "$IMG" fleet m.jsonl
said "9 of 9 images were done by an earlier run, 0 are to be done"
checked
[ "$(records image m.jsonl.results)" = 20 ] || bad "the third run did something"

# -- changed: a source, a target, a record ------------------------------------------------------------
put in/0.raw 70000 noise 5000 3
rm out/4.raw.qcow2
sed -i '$s/}$/,"options":"cluster_size=4k"}/' m.jsonl
last=$(tail -1 m.jsonl | sed 's/.*"target":"\([^"]*\)".*/\1/')
good "$IMG" fleet m.jsonl
said "6 of 9 images were done by an earlier run, 3 are to be done; 3 have changed since"
checked
[ "$(records image m.jsonl.results)" = 23 ] || bad "not three images were done again"
good "$IMG" compare in/0.raw out/0.raw.qcow2
good "$IMG" compare in/4.raw out/4.raw.qcow2
"$IMG" info "$last" | grep -q 'cluster_size: 4096' || bad "the new options have no effect"

# -- another results file knows nothing ------------------------------------------------------------------
good "$IMG" fleet --results other m.jsonl
checked
[ "$(records image other)" = 9 ] || bad "other results, but not all images were done"
finish
