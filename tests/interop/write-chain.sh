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
create qcow2 alone 64M # zeros, not what chain_three.d/middle holds
io qcow2 alone "write -P 3 1M 64k"
good "$IMG" convert -O qcow2 -B chain_three.d/middle -F qcow2 alone over &&
    judge "-B of an image that has none" qcow2 over alone
good "$IMG" convert -O qcow2 chain_three flat && judge "flat" qcow2 flat chain_three

create raw there 64M
put there 0 noise 100000
good "$IMG" convert -n -f raw -O raw raw_sparse there && cmp raw_sparse there || bad "-n raw"

# into an existing qcow2
into() {
    create qcow2 there2 64M
    good "$IMG" convert -n "$@" -O qcow2 -f raw raw_sparse there2 && judge "-n $*" qcow2 there2 raw_sparse
}
into
into --target-is-zero
into -c

good "$IMG" convert --bitmaps -O qcow2 bitmaps with && judge "--bitmaps" qcow2 with bitmaps
for image in bitmaps with; do
    "$REF" info --output=json $image | jq -S '."format-specific".data.bitmaps' >$image.list
done
diff -u bitmaps.list with.list || bad "--bitmaps: other bitmaps"

"$REF" convert -O raw raw_sparse chain_three two.theirs
good "$IMG" convert -O raw raw_sparse chain_three two.ours && cmp two.theirs two.ours || bad "joined"
finish
