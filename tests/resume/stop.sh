#!/bin/bash
# Asked to stop: what is in flight is finished and recorded, exit 75, one line; then it goes on.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/resume/resume.bash"
need_ours
scratch 300
cd "$T"
mpi_here
export MPI_IMG_CHECKPOINT=60000 # what is recorded is recorded at the stop
guest source 80
expected image.qcow2 -O qcow2 source

# How many chunks were given out.
given() {
    grep -c unit_given "$T/.trace" || true
}

# stops WHAT SECONDS CODE CMD...: it ends in time, with this code, and keeps what it has.
stops() {
    local what=$1 limit=$2 code=$3 ended=0
    shift 3
    wait_for "$limit" gone $pid 2>/dev/null || bad "$what: still there after $limit s"
    wait $pid || ended=$?
    checked
    [ $ended = "$code" ] || bad "$what: exit $ended: $(cat "$T/.err")"
    [ -e image.qcow2$PART ] && [ -e image.qcow2$JOURNAL ] || bad "$what: nothing was kept"
    [ ! -e image.qcow2 ] || bad "$what: it has its name"
}

# goes_on WHAT: and not from the beginning.
goes_on() {
    good "$IMG" -T unit_given,file="$T/.trace" convert --resume -O qcow2 source image.qcow2 || return 0
    [ "$(given)" -lt "$all" ] || bad "$1: all was done again"
    verdict image.qcow2 "$1"
    rm -f image.qcow2
}

# begin CMD...: in the background, until something is written.
begin() {
    "$@" >"$T/.out" 2>"$T/.err" </dev/null &
    pid=$!
    wait_for 20 has_written image.qcow2 $((4 * MIB)) || bad "does not begin: $(cat "$T/.err")"
}

good "$IMG" -T unit_given,file="$T/.trace" convert -O qcow2 source image.qcow2
all=$(given)
rm image.qcow2
slow=("$IMG" convert --resume --threads 1 -r 10M -O qcow2 source image.qcow2)

for signal in TERM INT HUP USR2; do
    begin env --default-signal="$signal" "${slow[@]}"
    kill -s $signal $pid
    stops "$signal" 20 75
    grep -q "Stopped by signal .*the same command goes on" "$T/.err" || bad "$signal: $(cat "$T/.err")"
    [ "$(wc -l <"$T/.err")" = 1 ] || bad "$signal: not one line: $(cat "$T/.err")"
    goes_on "$signal"
done

if command -v mpirun >/dev/null; then
    begin mpirun -n 3 --oversubscribe "${slow[@]}"
    kill -s USR2 $pid
    stops "USR2, mpirun" 20 75
    goes_on "USR2, mpirun"
    # the code is mpirun's own then, and it gives a second only
    begin mpirun -n 3 --oversubscribe "${slow[@]}"
    kill -s TERM $pid
    stops "TERM, mpirun" 20 1
    goes_on "TERM, mpirun"
fi

# USR1: a line of progress, and the journal is brought up to date
begin "${slow[@]}"
before=$(journal_size image.qcow2)
kill -s USR1 $pid
wait_for 20 eval "[ \$(journal_size image.qcow2) -gt $before ]" || bad "USR1: no records"
wait_for 20 grep -q '/100%' "$T/.err" || bad "USR1: no progress"
kill -s KILL $pid
stops "USR1, then KILL" 20 137
goes_on "USR1, then KILL"

# a second INT ends at once: packing goes on for longer
pattern text $((20 * MIB)) >text
env --default-signal=INT "$IMG" convert --resume --threads 1 -c --compression-level 19 \
    -o compression_type=zstd -O qcow2 text image.qcow2 >"$T/.out" 2>"$T/.err" </dev/null &
pid=$!
wait_for 20 begun image.qcow2 || bad "does not begin: $(cat "$T/.err")"
sleep 0.1
kill -s INT $pid
sleep 0.02
kill -s INT $pid || bad "INT, INT: the first was enough"
stops "INT, INT" 20 130
rm -f image.qcow2 image.qcow2.mpi-img-*

# ---- time ------------------------------------------------------------------------------------------

# in_time WHAT SECONDS CMD...
in_time() {
    local what=$1 limit=$2 start=$EPOCHREALTIME took
    shift 2
    "$@" >"$T/.out" 2>"$T/.err" </dev/null &
    pid=$!
    stops "$what" "$limit" 75
    took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
    grep -q "Stopped before the time is over" "$T/.err" || bad "$what: $(cat "$T/.err")"
    echo "$what: stopped after $took s"
    goes_on "$what"
}

in_time "--time-limit 2" 20 "${slow[@]}" --time-limit 2
in_time "--time-limit 00:00:02" 20 "${slow[@]}" --time-limit 00:00:02
in_time "the end of the job" 20 env SLURM_JOB_END_TIME=$(($(date +%s) + 3)) "${slow[@]}"
in_time "the end of the job is nearer" 20 env SLURM_JOB_END_TIME=$(($(date +%s) + 3)) "${slow[@]}" \
    --time-limit 100
in_time "the limit is nearer" 20 env SLURM_JOB_END_TIME=$(($(date +%s) + 100)) "${slow[@]}" --time-limit 2
good "$IMG" convert --resume --time-limit 1:00:00 -O qcow2 source image.qcow2 && verdict image.qcow2 "time enough"
for wrong in 0 -1 x 1:2 1:70:00 1:00:00x 00:00:00; do
    try "$IMG" convert --resume --time-limit $wrong -O qcow2 source image.qcow2
    checked
    [ $rc = 1 ] && grep -q "Invalid time limit '$wrong'" "$T/.err" || bad "$wrong: $rc, $(cat "$T/.err")"
done
try "$IMG" convert --time-limit 5 -O qcow2 source image.qcow2
[ $rc = 1 ] && grep -q "requires use of --resume" "$T/.err" || bad "without --resume: $rc, $(cat "$T/.err")"

# again and again with too little time: it ends all the same
rm -f image.qcow2
for ((turns = 1; turns < 60; turns++)); do
    try "${slow[@]}" --time-limit 1
    [ $rc = 75 ] || break
done
echo "$turns turns of a second"
[ $rc = 0 ] && [ $turns -gt 2 ] || bad "after $turns turns: exit $rc: $(cat "$T/.err")"
verdict image.qcow2 "a second at a time"
finish
