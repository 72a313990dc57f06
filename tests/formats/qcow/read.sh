#!/bin/bash
# What the original's tools wrote: the same words about it, the same bytes out of it.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/qcow/common.bash"
need_reference
scratch 500
cd "$T"
materials

both_ways() {
    looks qcow "$1"
    reads qcow "$1"
}

create qcow image 64M
scribble qcow image
both_ways image
create qcow odd $((9 * 1048576 + 3 * 512))
io qcow odd "write -P 7 0 100k" "write -P 8 9M 1536"
both_ways odd
create qcow tiny 1
both_ways tiny
create qcow empty 64M
both_ways empty
create qcow large 2G
io qcow large "write -P 1 0 64k" "write -P 2 1500M 1M"
looks qcow large
create qcow huge 16T # here the original asks for each cluster
io qcow huge "write -P 1 0 64k" "write -P 2 10T 1M"
good timeout 10 "$IMG" map --output=json huge
[ "$(wc -l <"$T/.out")" = 4 ] || bad "huge: $(head -n 6 "$T/.out")"

# packed, and then written to
create raw source 64M
scribble raw source
packed_by_original source packed
both_ways packed
io qcow packed "write -P 9 1M 300k" "write -P 9 50M 1k"
both_ways packed

# geometries that others wrote: the same tables under another cluster size
create qcow small 8M
io qcow small "write -P 1 0 64k"
for bits in 0909 100d; do
    cp small other
    patch_bytes other 32 $bits
    looks qcow other
done

# chains
create raw base 64M
scribble raw base
create qcow -b base -F raw middle
io qcow middle "write -P 7 2M 1M" "write -P 8 5M 512" "write -z 51M 512k"
create qcow -b middle -F qcow top 70M
io qcow top "write -P 9 3M 1M" "write -P 9 69M 512"
for image in middle top; do both_ways $image; done
alike info --backing-chain top
create qcow -b odd -F qcow over 20M
io qcow over "write -P 1 15M 1M"
both_ways over
finish
