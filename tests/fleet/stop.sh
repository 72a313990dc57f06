#!/bin/bash
# Asked to stop, or the time is nearly over: what is in flight ends or is given up in good order, the
# exit code says "again", and the next run goes on.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/fleet.bash"
. "$TESTS/resume/resume.bash"
scratch 700
cd "$T"
mpi_here
told() { cat m.jsonl.results 2>/dev/null | grep -c "^{\"record\":\"image\"" || true; }
export MPI_IMG_SEED=7
export MPI_IMG_CHECKPOINT=60000 # what is recorded is recorded at the stop
small 16

manifest many >m.jsonl
guest in/big.raw 40
echo '{"source":"in/big.raw","target":"many/packed","target_format":"qcow2","compress":true,"hash":true}' >>m.jsonl
sed 's/"many/"one/' m.jsonl >one.jsonl
mkdir one
good "$IMG" fleet one.jsonl
slow=(fleet --whole-below 2M -r 3M m.jsonl)

has_moved() {
    [ "$(told)" -gt 1 ] && begun many/packed
}

begin() {
    rm -rf many m.jsonl.results
    mkdir many
    "$@" >"$T/.out" 2>"$T/.err" </dev/null &
    pid=$!
    wait_for 60 has_moved || bad "does not begin: $(cat "$T/.err")"
}

# stops WHAT SECONDS CODE: it ends in time, with this code, and says what is left.
stops() {
    local ended=0
    wait_for "$2" gone $pid 2>/dev/null || bad "$1: still there after $2 s"
    wait $pid || ended=$?
    checked
    [ $ended = "$3" ] || bad "$1: exit $ended: $(cat "$T/.err")"
    grep -q "Stopped: the same command goes on" "$T/.out" || bad "$1: said $(cat "$T/.out")"
    checked
    tail -n 1 m.jsonl.results | grep -q '"record":"end".*"status":"stopped"' || bad "$1: the results do not say so"
    checked
    grep '/packed"' m.jsonl.results | grep -q '"status":"stopped"' || bad "$1: the large image is not told of"
    checked
    for f in many/*; do
        case $f in *$PART | *$JOURNAL) ;; *) cmp -s "$f" "one/${f##*/}" || bad "$1: $f is not whole" ;; esac
    done
    checked
    [ "$(echo many/*$JOURNAL)" = many/packed$JOURNAL ] || bad "$1: journals: $(echo many/*$JOURNAL)"
}

# goes_on WHAT CMD...: the large image not from the beginning.
goes_on() {
    local what=$1 f
    shift
    try "$@" fleet --whole-below 2M m.jsonl
    ended 0
    for f in one/*; do
        checked
        cmp -s "$f" "many/${f##*/}" || bad "$what: ${f##*/} is not what convert makes"
    done
    checked
    [ "$(ls one | wc -l)" = "$(ls -A many | wc -l)" ] || bad "$what: files are left: $(ls -A many)"
    checked
    grep '/packed"' m.jsonl.results | tail -n 1 | grep -q '"hash":"sha256' || bad "$what: no hash"
    checked
    [ "$(grep '/packed"' m.jsonl.results | tail -n 1 | field bytes)" -lt "$(stat -c %b in/big.raw)000" ] || bad "$what: all was done again"
}

for signal in TERM INT HUP USR2; do
    begin env --default-signal="$signal" "$IMG" "${slow[@]}" --threads 3
    kill -s $signal $pid
    stops "$signal" 30 75
    goes_on "$signal" "$IMG"
done

begin "$IMG" "${slow[@]}" --threads 3 --time-limit 2
stops "time limit" 30 75
goes_on "time limit" "$IMG"
SLURM_JOB_END_TIME=$(($(date +%s) + 3)) begin "$IMG" "${slow[@]}" --threads 3
stops "the batch job's end" 30 75
goes_on "the batch job's end" "$IMG"

if command -v mpirun >/dev/null; then
    begin mpirun -n 3 --oversubscribe "$IMG" "${slow[@]}" --threads 2
    kill -s USR2 $pid
    stops "USR2, mpirun" 30 75
    goes_on "USR2, mpirun" mpirun -n 2 --oversubscribe "$IMG"
    # one rank alone is told: it stops all
    begin mpirun -n 3 --oversubscribe "$IMG" "${slow[@]}" --threads 2
    kill -s TERM "$(ranks_of $pid | tail -n 1)"
    stops "TERM to a rank" 30 75
    goes_on "TERM to a rank" "$IMG"
fi
finish
