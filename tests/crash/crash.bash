# Sourced by the tests of this folder: what a stop at any moment of a command leaves behind.
#
#   prepare                      an empty $T/work, for the images of one case
#   crash NAME CMD... -- JUDGE...   CMD, run in $T/work, is recorded; then JUDGE (words of
#                                judge.bash) looks at each state that a stop of it may leave
#
# CRASH_MOMENTS=N  how many moments of each command are tried (40); KEEP=1 CRASH_KEEP=1 keeps the
# bad states in $T.
# shellcheck shell=bash

REPLAY=$BUILD/crash-replay RECORDER=$BUILD/crash-recorder.so
[ -x "$REPLAY" ] || skip "the replayer is not built ($REPLAY)"
MOMENTS=${CRASH_MOMENTS:-40}
export IMG REF REPLAY T

prepare() {
    rm -rf "$T/work" "$T/before" "$T/now" "$T/journal"
    mkdir "$T/work" "$T/now"
    cd "$T/work"
}

# contents IMAGE FORMAT TO: what a guest reads of it.
contents() {
    "$REF" convert -f "$2" -O raw "$1" "$3"
}

# record CMD...: leaves the files as they were in $T/before, the changes in $T/journal.
record() {
    rm -rf "$T/before" "$T/journal"
    cp -a "$T/work" "$T/before"
    : >"$T/journal"
    try env LD_PRELOAD="$RECORDER" CRASH_DIR="$T/work" CRASH_JOURNAL="$T/journal" "$@"
}

crash() {
    local name=$1 command=()
    shift
    while [ "$1" != -- ]; do
        command+=("$1")
        shift
    done
    shift
    checked
    record "${command[@]}"
    [ $rc = 0 ] || { bad "$name: exit $rc: $(tail -n 3 "$T/.err")"; return; }
    rm -rf "$T/now"
    mkdir "$T/now"
    (cd "$T/now" && "$REPLAY" "$T/journal" "$T/before" "$T/now" "$MOMENTS" \
        bash "$TESTS/crash/judge.bash" "$@") >"$T/.replay" 2>&1 || bad "$name: $(head -n 20 "$T/.replay")"
    echo "$name: $(tail -n 1 "$T/.replay")"
    grep -q '^[1-9][0-9]* changes' "$T/.replay" || bad "$name: nothing was recorded"
}

# The judge must be able to say no: without the syncs some state of this command is bad.
crash_unsynced() {
    local before=$failures
    CRASH_NO_SYNC=1 crash "$@" 2>"$T/.expected"
    [ "$failures" -gt "$before" ] || { bad "$1: no harm is seen without any sync"; return; }
    failures=$before
}
