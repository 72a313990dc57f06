#!/bin/bash
# What a stopped conversion was begun with must be the same: anything else is refused with one line
# that names it, and changes nothing. And what cannot be resumed at all.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/resume/resume.bash"
need_ours
need_reference
scratch 200
cd "$T"

# refused WHAT WORDS ARGS...: exit 1, one line with these words; the unfinished output stays.
refused() {
    local what=$1 words=$2
    shift 2
    state >before
    try "$IMG" convert --resume "$@"
    checked
    [ $rc = 1 ] || bad "$what: exit $rc"
    grep -qF -- "$words" "$T/.err" || bad "$what: $(cat "$T/.err")"
    [ "$(wc -l <"$T/.err")" = 1 ] || bad "$what: not one line: $(cat "$T/.err")"
    state | cmp -s before - || bad "$what: it changed something"
}

state() {
    for f in image.qcow2*; do
        echo "$f $(hash_of "$f")"
    done
}

guest base 20
"$REF" create -q -f qcow2 -b base -F raw source
"$REF_IO" -c 'write -P 1 3M 100k' -c 'write -P 2 7M 1M' source >/dev/null
cp -p base base.kept
cp -p source source.kept
args=(-O qcow2 source image.qcow2)
expected image.qcow2 -O qcow2 source
stopped_at 40 image.qcow2 -O qcow2 source

touch source
refused "the time of the source" "the source 'source' has changed (its time)" "${args[@]}"
cp -p source.kept source
truncate -s +1M source
refused "the size of the source" "the source 'source' has changed (its size)" "${args[@]}"
cp -p source.kept source
patch_bytes source 1000 ff
touch -r source.kept source
refused "the header of the source" "the source 'source' has changed (its first bytes)" "${args[@]}"
cp -p source.kept source
touch -d '+1 day' base
refused "the backing image" "the source 'base' has changed (its time)" "${args[@]}"
cp -p base.kept base
refused "less of the chain" "the source was 2 files, now it is 1" -f raw -O qcow2 source image.qcow2

refused "-c" "begun with -c off, now it is on" -c "${args[@]}"
refused "-o" "begun with -o cluster_size 65536, now it is 4096" -o cluster_size=4k "${args[@]}"
refused "-O" "begun with -O qcow2, now it is raw" -O raw source image.qcow2
refused "-S" "begun with -S 4096, now it is 0" -S 0 "${args[@]}"
refused "-f" "begun with -f none, now it is qcow2" -f qcow2 "${args[@]}"
refused "--salvage" "begun with --salvage off, now it is on" --salvage "${args[@]}"
grep -q "remove 'image.qcow2$JOURNAL'" "$T/.err" || bad "no way out is named: $(cat "$T/.err")"

# how it is done does not count
good "$IMG" convert --resume -q --threads 3 -r 500M -t none -T none --memory 64M "${args[@]}" &&
    verdict image.qcow2 "with other ways to do it"

# ---- what else may be there -----------------------------------------------------------------------

# without --resume all begins anew
rm -f image.qcow2
stopped_at 40 image.qcow2 -O qcow2 source
good env MPI_IMG_SEED=$first "$IMG" convert "${args[@]}" && verdict image.qcow2 "without --resume"

# a part without a journal, a journal without a part
for lost in "$JOURNAL" "$PART"; do
    rm -f image.qcow2
    stopped_at 40 image.qcow2 -O qcow2 source
    rm "image.qcow2$lost"
    good env MPI_IMG_SEED=$first "$IMG" convert --resume "${args[@]}" && verdict image.qcow2 "without $lost"
done

# stopped between the rename and the end of the journal: there is nothing to do but to remove it
rm -f image.qcow2
stopped_at 40 image.qcow2 -O qcow2 source
cp "image.qcow2$JOURNAL" journal
good "$IMG" convert --resume "${args[@]}"
cp journal "image.qcow2$JOURNAL"
stat -c '%i %y' image.qcow2 >before
good "$IMG" convert --resume "${args[@]}" && verdict image.qcow2 "finished before"
stat -c '%i %y' image.qcow2 | cmp -s - before || bad "a finished image was written again"
# with another target under the name it is not that one
cp journal "image.qcow2$JOURNAL"
mv image.qcow2 was
cp base image.qcow2
good env MPI_IMG_SEED=$first "$IMG" convert --resume "${args[@]}" && verdict image.qcow2 "another target"

# two at a time
rm -f image.qcow2
"$IMG" convert --resume -r 4M "${args[@]}" &
pid=$!
wait_for 10 begun image.qcow2 || bad "does not begin"
try "$IMG" convert --resume "${args[@]}"
checked
[ $rc = 1 ] && grep -q 'Failed to get "write" lock' "$T/.err" || bad "two at a time: $rc, $(cat "$T/.err")"
begun image.qcow2 || bad "the other's journal is gone"
{ kill -KILL $pid && wait $pid; } 2>/dev/null || true
rm -f image.qcow2*

# ---- what cannot be resumed ------------------------------------------------------------------------

refused "-n" "--resume cannot be used with -n" -n "${args[@]}"
refused "unsafe" "not synced with -t unsafe" -t unsafe "${args[@]}"
refused "a device" "cannot be resumed" -O raw source /dev/null
echo pass >key
refused "a key" "it is encrypted" --object secret,id=s,file=key -O luks -o key-secret=s source image.qcow2
refused "several files" "several files" -O vmdk -o subformat=twoGbMaxExtentSparse source image.qcow2
refused "a data file" "several files" -O qcow2 -o data_file=image.qcow2.data source image.qcow2
echo old >image.qcow2
ln image.qcow2 image.qcow2.link
refused "a hard link" "written in place" "${args[@]}"
finish
