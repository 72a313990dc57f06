#!/bin/bash
# Targets with a backing file, into an existing image (-n), with bitmaps, from several sources.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/fixtures.bash"
need_reference
scratch 700
cd "$T"
materials
chain_three
chain_packed
bitmaps
raw_sparse

judge() {
    checked
    "$REF" check -q -f "$2" "$3" || bad "$1: check finds fault"
    "$REF" compare -q -F "$2" "$4" "$3" || bad "$1: compare finds a difference"
}

good "$IMG" convert -O qcow2 -B chain_three.d/middle -F qcow2 chain_three over &&
    judge "-B" qcow2 over chain_three
good "$IMG" convert -c -O qcow2 -o backing_file=chain_packed.base,backing_fmt=qcow2 chain_packed over &&
    judge "-o backing_file" qcow2 over chain_packed
"$REF" info --output=json over | grep -q '"backing-filename": "chain_packed.base"' ||
    bad "the backing name is not stored as given"
good "$IMG" convert -O qcow2 chain_three flat && judge "flat" qcow2 flat chain_three

create raw there 64M
put there 0 noise 100000
good "$IMG" convert -n -f raw -O raw raw_sparse there && cmp raw_sparse there || bad "-n raw"
create qcow2 there2 64M
good "$IMG" convert -n -O qcow2 -f raw raw_sparse there2 && judge "-n qcow2" qcow2 there2 raw_sparse
create qcow2 there3 64M
good "$IMG" convert -n --target-is-zero -O qcow2 -f raw raw_sparse there3 &&
    judge "-n --target-is-zero" qcow2 there3 raw_sparse

good "$IMG" convert --bitmaps -O qcow2 bitmaps with && judge "--bitmaps" qcow2 with bitmaps
for image in bitmaps with; do
    "$REF" info --output=json $image | jq -S '."format-specific".data.bitmaps' >$image.list
done
diff -u bitmaps.list with.list || bad "--bitmaps: other bitmaps"

"$REF" convert -O raw raw_sparse chain_three two.theirs
good "$IMG" convert -O raw raw_sparse chain_three two.ours && cmp two.theirs two.ours || bad "joined"
finish
