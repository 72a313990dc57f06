#!/bin/sh
# What the program prints, word for word: the cases are folders <sub>/<case> with
#
#   cmd      shell lines, run in a new folder; $IMG is the program, under the name qemu-img
#   out err  what they must print (no file: nothing), code: how they must exit (no file: 0)
#   differs  why the original prints something else, where it does
#
# A case that exits with 77 has printed why it could not be tried.
#
#   sh tests/cmd/run.sh [WORD...]   only cases whose name contains one of the words
#   ACCEPT=1 sh tests/cmd/run.sh    take what is printed as what must be printed
#   PEER=1 sh tests/cmd/run.sh      run the original, show where it prints something else
#   IMG=build/mpi-img               the program; PEER_IMG=/usr/bin/qemu-img the original
#
# Cases may use $PEER_IMG and $PEER_IO to make images; they are skipped where these are missing.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
cases=$top/tests/cmd
IMG=$(readlink -f "${IMG:-$top/build/mpi-img}")
PEER_IMG=${PEER_IMG:-/usr/bin/qemu-img} PEER_IO=${PEER_IO:-/usr/bin/qemu-io}
export PEER_IMG PEER_IO LC_ALL=C TZ=UTC
[ -z "${PEER:-}" ] || IMG=$PEER_IMG
[ -x "$IMG" ] || {
    echo "SKIP: no program at '$IMG'"
    exit 77
}

work=$(mktemp -d "${TMPDIR:-/tmp}/mpi-img-cmd.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$IMG" "$work/bin/qemu-img"
tried=0 failed=0 skipped=0

# Has the case what it needs? Prints why not.
wanted() {
    if grep -q 'PEER_I' "$1/cmd" && ! { [ -x "$PEER_IMG" ] && [ -x "$PEER_IO" ]; }; then
        echo "SKIP: $2: needs $PEER_IMG and $PEER_IO"
    elif [ -n "${PEER:-}" ] && [ -f "$1/differs" ]; then
        echo "SKIP: $2: the original differs: $(cat "$1/differs")"
    else
        return 0
    fi
    skipped=$((skipped + 1))
    return 1
}

# Run a case: leaves out, err and code in $work.
run_case() {
    rm -rf "$work/here"
    mkdir "$work/here"
    (cd "$work/here" && IMG=$work/bin/qemu-img timeout 60 sh "$1/cmd") \
        >"$work/out" 2>"$work/err" </dev/null
    echo $? >"$work/code"
}

# The expected text of a part: its file, or what no file stands for.
expected() {
    if [ -f "$1/$2" ]; then
        cat "$1/$2"
    elif [ "$2" = code ]; then
        echo 0
    fi
}

# Same but for a newline at the very end, which the original sometimes forgets.
check_part() {
    expected "$1" "$2" >"$work/want"
    [ "$(cat "$work/want"; echo .)" = "$(cat "$work/$2"; echo .)" ] && return 0
    [ "$(cat "$work/want")" = "$(cat "$work/$2")" ] && [ "$2" = err ] && return 0
    diff -u --label "expected $2" --label "$2" "$work/want" "$work/$2"
    return 1
}

accept_case() {
    for part in out err code; do
        if [ "$part" = code ] && [ "$(cat "$work/code")" = 0 ] || [ ! -s "$work/$part" ]; then
            rm -f "$1/$part"
        else
            cp "$work/$part" "$1/$part"
        fi
    done
}

try_case() {
    run_case "$1"
    if [ "$(cat "$work/code")" = 77 ]; then
        echo "$(cat "$work/out"): $2"
        skipped=$((skipped + 1))
        return
    fi
    tried=$((tried + 1))
    if [ -n "${ACCEPT:-}" ]; then
        accept_case "$1"
        return
    fi
    good=1
    for part in out err code; do
        check_part "$1" $part || good=0
    done
    [ $good = 1 ] && return
    echo "FAIL: $2"
    failed=$((failed + 1))
}

# Is the case's name among those asked for?
asked() {
    name=$1
    shift
    [ $# = 0 ] && return 0
    for word; do
        case $name in *"$word"*) return 0 ;; esac
    done
    return 1
}

for file in "$cases"/*/*/cmd; do
    folder=${file%/cmd}
    name=${folder#"$cases"/}
    asked "$name" "$@" && wanted "$folder" "$name" && try_case "$folder" "$name"
done
echo "$tried cases, $failed failed, $skipped skipped"
[ $failed = 0 ] && [ $((tried + skipped)) -gt 0 ]
