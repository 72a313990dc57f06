# Sourced by the tests of this folder: make the nth call of a kind fail, for every n, and judge how
# the program took it. It may cope, and then the result is right; or it fails, and then it says so
# in one line, with the documented exit code, and nothing half-made stands under any name.
# shellcheck shell=bash

FAULT_SHIM=$BUILD/fault-shim.so
KILLED=0 EIO=5 ENOMEM=12 ENOSPC=28 EACCES=13
[ -e "$FAULT_SHIM" ] || skip "the shim is not built ($FAULT_SHIM)"

# with_fault KIND:N:ERRNO CMD...
with_fault() {
    local fault=$1
    shift
    rm -f "$T/log"
    FAULT=$fault FAULT_DIR=$T/work FAULT_LOG=$T/log try timeout -k 5 60 \
        env LD_PRELOAD="$FAULT_SHIM" "$@"
}

# How often CMD makes calls of that kind.
count_calls() {
    local kind=$1
    shift
    with_fault "$kind:0" "$@"
    awk '{ n += $2 } END { print n + 0 }' "$T/log" 2>/dev/null || echo 0
}

fired() {
    grep -qs ' 1$' "$T/log"
}

# one_error NAME: stderr is one error of ours (hints may follow it).
one_error() {
    [ "$(grep -c "^$(basename "$IMG"): " "$T/.err")" = 1 ] && return
    bad "$1: not one error on stderr:"
    sed 's/^/    /' "$T/.err" >&2
}

# no_leftovers NAME: in the work folder there is what was there before, and at most the target.
no_leftovers() {
    local left
    left=$(find "$T/work" -type f -newer "$T/before" -not -name target)
    [ -z "$left" ] || bad "$1: left behind: $left"
}

# judge_target NAME WANT: `target` must be right after exit 0, else what it was ("old" or nothing).
# A folder that could not be synced fails after the rename: then the whole new file stands there.
judge_target() {
    local now=none
    [ ! -e "$T/work/target" ] || now=$(hash_of "$T/work/target")
    case $rc in
    0) [ "$now" = "$2" ] || bad "$1: exit 0, but the target is wrong" ;;
    1)
        one_error "$1"
        [ "$now" = "$old" ] || { [[ $1 == *sync* ]] && [ "$now" = "$2" ]; } ||
            bad "$1: exit 1, and the target is neither what it was nor absent"
        ;;
    *) bad "$1: exit $rc: $(tail -n 3 "$T/.err")" ;;
    esac
    no_leftovers "$1"
}

# prepare none|old: an empty place or an old file under the target's name.
prepare() {
    rm -rf "$T/work/target"*
    old=none
    if [ "$1" = old ]; then
        echo "what stood here before" >"$T/work/target"
        old=$(hash_of "$T/work/target")
    fi
    touch "$T/before"
}

# numbers TOTAL MOST: 1..TOTAL, thinned out evenly to about MOST.
numbers() {
    seq 1 $((($1 + $2 - 1) / $2 > 0 ? ($1 + $2 - 1) / $2 : 1)) "$1"
}

# sweep_target NAME KIND ERRNO MOST CMD...: CMD writes work/target.
sweep_target() {
    local name=$1 kind=$2 no=$3 most=$4 n total want before
    shift 4
    prepare none
    total=$(count_calls "$kind" "$@")
    [ -e "$T/work/target" ] || { bad "$name: does not even run: $(cat "$T/.err")"; return; }
    want=$(hash_of "$T/work/target")
    failed=0
    for n in $(numbers "$total" "$most"); do
        before=none
        [ $((n % 2)) = 0 ] || before=old
        prepare $before
        with_fault "$kind:$n:$no" "$@"
        checked
        judge_target "$name: $kind $n of $total" "$want"
        [ $rc = 0 ] || failed=$((failed + 1))
    done
    echo "$name: $total calls of $kind, $failed of those tried ended the run"
}

# sweep_text NAME KIND ERRNO MOST CMD...: CMD prints; it may end with 1 to 4 when it fails.
sweep_text() {
    local name=$1 kind=$2 no=$3 most=$4 n total
    shift 4
    touch "$T/before"
    total=$(count_calls "$kind" "$@")
    cp "$T/.out" "$T/want"
    failed=0
    for n in $(numbers "$total" "$most"); do
        with_fault "$kind:$n:$no" "$@"
        checked
        case $rc in
        0) cmp -s "$T/.out" "$T/want" || bad "$name: $kind $n of $total: exit 0, but other words" ;;
        1 | 2 | 3 | 4) one_error "$name: $kind $n of $total" ;;
        *) bad "$name: $kind $n of $total: exit $rc: $(tail -n 3 "$T/.err")" ;;
        esac
        [ $rc = 0 ] || failed=$((failed + 1))
        no_leftovers "$name: $kind $n"
    done
    echo "$name: $total calls of $kind, $failed of those tried ended the run"
}

# A failing write must not go unseen, whatever else is forgiven.
must_fail() {
    [ "$failed" -gt 0 ] || bad "$1: no failing call was noticed"
}

# The sources, in $T/work: small, for there are many runs.
sources() {
    mkdir "$T/work"
    cd "$T/work"
    truncate -s 3M raw
    put raw 0 noise 200000 1
    put raw 1000000 text 500000 2
    put raw 3000000 noise 512 3
    "$REF" convert -f raw -O qcow2 raw plain
    "$REF" convert -f raw -O qcow2 -c raw packed
    "$REF" convert -f raw -O qcow2 -c -o compression_type=zstd raw packed-zstd
    "$REF" create -q -f qcow2 -b packed -F qcow2 chain
    "$REF_IO" -c "write -P 1 2M 64k" chain >/dev/null
}
