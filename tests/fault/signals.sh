#!/bin/bash
# Stopped in the middle: by INT and TERM, alone and under mpirun. What stood there stands, nothing
# is left beside it, and the exit code says that it was not finished.
. "$(dirname "$0")/../lib.sh"
need_ours
scratch 300
mkdir "$T/work"
cd "$T/work"
pattern noise $((64 * 1048576)) >source
echo old >target
cp target ../old

# part_there: has the output begun to grow?
part_there() {
    [ -n "$(find . -type f -not -name source -not -name target -size +0)" ]
}

# stopped NAME SIGNAL SECONDS CMD...: CMD is slow (-r); stop it when it has begun.
stopped() {
    local name=$1 signal=$2 limit=$3 pid i rc=0
    shift 3
    "$@" >"$T/.out" 2>"$T/.err" </dev/null &
    pid=$!
    for i in $(seq 200); do
        part_there && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.05
    done
    checked
    part_there || bad "$name: did not begin: $(cat "$T/.err")"
    sleep 0.2
    kill -s "$signal" $pid 2>/dev/null || bad "$name: had ended before"
    for i in $(seq $((limit * 20))); do
        kill -0 $pid 2>/dev/null || break
        sleep 0.05
    done
    if kill -0 $pid 2>/dev/null; then
        bad "$name: still there after $limit s"
        kill -s KILL $pid
    fi
    wait $pid || rc=$?
    [ $rc != 0 ] || bad "$name: exit 0"
    cmp -s target ../old || bad "$name: the old target is gone"
    part_there && bad "$name: left behind: $(find . -type f)"
    return 0
}

# bash ignores INT in what it starts in the background: set it back.
stopped INT INT 5 env --default-signal=INT "$IMG" convert -r 4M -f raw -O qcow2 source target
stopped TERM TERM 5 "$IMG" convert -r 4M -f raw -O qcow2 source target
stopped "TERM, packed" TERM 5 "$IMG" convert -c -r 4M -f raw -O qcow2 source target
stopped "TERM, raw" TERM 5 "$IMG" convert -r 4M -f raw -O raw source target
if command -v mpirun >/dev/null; then
    stopped "TERM, mpirun" TERM 15 mpirun -n 3 --oversubscribe "$IMG" convert -r 4M -f raw -O qcow2 source target
else
    echo "note: no mpirun, stopping several ranks is not tried"
fi

# KILL cannot be caught: what stays is the part under its own name, and the next run takes its place.
"$IMG" convert -r 4M -f raw -O qcow2 source target &
pid=$!
for i in $(seq 200); do
    part_there && break
    sleep 0.05
done
kill -s KILL $pid
wait $pid 2>/dev/null || true
cmp -s target ../old || bad "KILL: the old target is gone"
good "$IMG" convert -f raw -O qcow2 source target || true
part_there && bad "after KILL the next run left: $(find . -type f)"
finish
