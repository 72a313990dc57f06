#!/bin/bash
# Killed at any moment, again and again: a rank, the launcher, all of them. Run again, on other
# numbers of ranks and threads, it does what is missing: large images go on where they were. In the
# end each is what convert makes of it.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/fleet.bash"
. "$TESTS/resume/resume.bash"
scratch 900
cd "$T"
mpi_here
told() { cat m.jsonl.results 2>/dev/null | grep -c "^{\"record\":\"image\"" || true; }
export MPI_IMG_SEED=7 # images that are begun anew draw the same
mkdir one
small 16


manifest many >m.jsonl
guest in/big.raw 40
guest in/huge.raw 64
echo '{"source":"in/big.raw","target":"many/packed","target_format":"qcow2","compress":true,"verify":true}' >>m.jsonl
echo '{"source":"in/huge.raw","target":"many/dynamic","target_format":"vpc"}' >>m.jsonl
sed 's/"many/"one/' m.jsonl >one.jsonl
good "$IMG" fleet one.jsonl
images=$(wc -l <m.jsonl)

any_fleet() {
    any_engine
    run=("${run[@]/#convert/fleet}")
}

# more than the run's own record in the results, or a journal
under_way() {
    [ -n "$(echo many/*$JOURNAL)" ] || [ "$(told)" != "$1" ]
}

kills=0 went_on=0
for ((round = 1; round <= 3 * ROUNDS; round++)); do
    any_fleet
    before=$(told)
    "${run[@]}" --whole-below 2M -r $((RANDOM % 20 + 10))M m.jsonl >"$T/.out" 2>&1 </dev/null &
    pid=$!
    wait_for 30 eval "under_way $before || gone $pid" || bad "does not begin: $(cat "$T/.out")"
    sleep 0.$((RANDOM % 9))
    kill_some $pid
    kills=$((kills + 1))
    wait "$pid" 2>/dev/null || true
    [ -z "$(echo many/*$JOURNAL)" ] || went_on=$((went_on + 1))
    [ "$(grep "\"status\":\"done\"" m.jsonl.results 2>/dev/null | field target | sort -u | wc -l)" -lt "$images" ] || break
done

any_fleet
try "${run[@]}" --whole-below 2M m.jsonl
ended 0
said ", 0 failed"
for f in one/*; do
    checked
    cmp -s "$f" "many/${f##*/}" || bad "${f##*/} is not what convert makes"
done
checked
[ "$(ls one | wc -l)" = "$(ls -A many | wc -l)" ] || bad "files are left: $(ls -A many)"
# a line that a kill has cut is no end of the results
good "$IMG" fleet --whole-below 2M m.jsonl
said "$images of $images images were done by an earlier run"
echo "$kills kills, of which $went_on left a journal"
finish
