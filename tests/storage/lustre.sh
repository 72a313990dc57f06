#!/bin/bash
# --stripe-count and --stripe-size: what is asked of Lustre's library, on one rank and on several;
# that each way in which it cannot be is told in one line; that nothing is asked without them. There
# is no Lustre here: a library of the same functions stands in (lustre.c).
. "$(dirname "$0")/../lib.sh"
need_ours
scratch 100
export LUSTRE_LOG=$T/log
DOUBLE=$BUILD/lustre-double
mkdir "$T/lustre"
cd "$T/lustre"
pattern text 4000000 >"$T/four"
for i in 1 2 3 4 5 6; do cat "$T/four"; done >"$T/guest"

# on_lustre CMD...: with the library, on what looks like Lustre
on_lustre() {
    env LD_LIBRARY_PATH="$DOUBLE" LD_PRELOAD="$DOUBLE/liblustreapi.so.1" "$@"
}

# asked WORDS: what the library was asked for, since the last time
asked() {
    checked
    [ "$(cat "$LUSTRE_LOG" 2>/dev/null)" = "$1" ] || bad "the library was asked: $(cat "$LUSTRE_LOG")"
    rm -f "$LUSTRE_LOG"
}

# refused WORDS CMD...: one line with these words, and no file
refused() {
    local words=$1
    shift
    try "$@"
    checked
    [ $rc = 1 ] && [ "$(wc -l <"$T/.err")" = 1 ] && grep -qF -- "$words" "$T/.err" ||
        bad "$rc, $(cat "$T/.err"), not: $words"
    checked
    [ -z "$(ls -A)" ] || bad "left behind: $(ls -A)"
}

convert=("$IMG" convert -f raw -O raw "$T/guest")

good on_lustre "${convert[@]}" --stripe-count 4 --stripe-size 4M target && cmp target "$T/guest"
asked "target.mpi-img-part: count 4 size 4194304 create alone"
good on_lustre "${convert[@]}" --stripe-count -1 target && cmp target "$T/guest" # replaces it
asked "target.mpi-img-part: count 1000000000000003 size 0 create alone"
good on_lustre "${convert[@]}" --stripe-size 64k "$T/lustre/target"
asked "$T/lustre/target.mpi-img-part: count 0 size 65536 create alone"
good on_lustre "${convert[@]}" target && cmp target "$T/guest"
asked ""
rm target

# an image of several files: each of them
good on_lustre "$IMG" convert -f raw -O vmdk -o subformat=twoGbMaxExtentFlat --stripe-count 2 \
    "$T/guest" target.vmdk
checked
[ "$(grep -c 'count 2 size 0 create alone' "$LUSTRE_LOG")" = 2 ] || bad "members: $(cat "$LUSTRE_LOG")"
rm -f target* "$LUSTRE_LOG"

if command -v mpirun >/dev/null; then
    good on_lustre mpirun --oversubscribe -n 3 "${convert[@]}" --stripe-count 8 --stripe-size 2M target &&
        cmp target "$T/guest"
    asked "target.mpi-img-part: count 8 size 2097152 create alone" # by rank 0 alone
    rm target
fi

# chunks are as long as the stripes, so a journal holds for those
good on_lustre "${convert[@]}" --resume --stripe-size 4M target
rm target "$LUSTRE_LOG"
try on_lustre timeout -s TERM 1 "${convert[@]}" --threads 1 --resume --stripe-size 4M -r 8M target
checked
[ $rc != 0 ] && [ -s target.mpi-img-journal ] || bad "not stopped: $rc"
try on_lustre "${convert[@]}" --resume target
checked
[ $rc = 1 ] && grep -q "begun with --stripe-size 4194304, now it is none" "$T/.err" ||
    bad "gone on with other chunks: $rc, $(cat "$T/.err")"
good on_lustre "${convert[@]}" --resume --stripe-size 4M target && cmp target "$T/guest"
rm -f target "$LUSTRE_LOG"

refused "'target.mpi-img-part' is not on Lustre: its stripes cannot be set" \
    env LD_LIBRARY_PATH="$DOUBLE" "${convert[@]}" --stripe-count 4 target
refused "Stripes can be set with the library of Lustre only: " \
    env LD_PRELOAD="$DOUBLE/lustre-only.so" "${convert[@]}" --stripe-count 4 target
refused "Could not create 'target.mpi-img-part': No space left on device" \
    on_lustre env LUSTRE_FAIL=28 "${convert[@]}" --stripe-count 4 target
refused "Invalid stripe size '100k': a multiple of 64k, less than 4G" "${convert[@]}" --stripe-size 100k target
refused "Invalid stripe count '0': 1 to 65534, or -1 for all targets" "${convert[@]}" --stripe-count 0 target
refused "Stripes have no effect when skipping image creation" "${convert[@]}" -n --stripe-count 2 target
refused "'$T/device' is written in place: its stripes cannot be set" \
    on_lustre bash -c 'ln -s /dev/null "$0/device" && shift && "$@"' "$T" "" "${convert[@]}" --stripe-count 2 "$T/device"
finish
