#!/bin/bash
# convert --safe and dd --safe look at what they wrote before it gets its name; --max-size.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/safe/safe.bash"
need_ours
scratch 100
cd "$T"
pattern text 200000 >data
truncate -s 1M data
"$IMG" convert -f raw -O qcow2 data image
"$IMG" convert -f raw -O qcow2 image nested # its guest disk is a qcow2 image

# kept CHECK CMD...: refused, and what stood there stays
kept() {
    echo before >out
    refused "$@"
    [ "$(cat out)" = before ] || bad "the old file is gone: $*"
    [ ! -e out.mpi-img-part ] || bad "a part is left: $*"
    rm -f out
}

kept format-single "$IMG" convert --safe -f qcow2 -O raw nested out
kept format-single "$IMG" dd --safe -f qcow2 -O raw if=nested of=out
kept format-single "$IMG" convert --safe -f qcow2 -O vpc -o subformat=fixed nested out
passes "$IMG" convert -f qcow2 -O raw nested out
passes "$IMG" convert --safe -f qcow2 -O qcow2 nested out
rm -f out
kept backing-file "$IMG" convert --safe -f qcow2 -O qcow2 -B image -F qcow2 image out
kept second-file "$IMG" convert --safe -f qcow2 -O qcow2 -o data_file=more image out
[ ! -e more ] || bad "the data file is there"

# -n: the name is there already, the exit code tells
truncate -s 1M there
refused format-single "$IMG" convert --safe -n -f qcow2 -O raw nested there
passes "$IMG" convert --safe -n -f qcow2 -O raw image there
cmp -s there data || bad "-n: another content"

# the largest virtual disk, with --safe and without
for how in --safe ""; do
    # shellcheck disable=SC2086  # a word or none
    {
        passes "$IMG" info $how --max-size 1M -f qcow2 image
        passes "$IMG" info $how --max-size=1048576 -f raw data
        refused virtual-size "$IMG" info $how --max-size 1048575 -f qcow2 image
        refused virtual-size "$IMG" check $how --max-size 512k -f qcow2 image
        refused virtual-size "$IMG" map $how --max-size 512k -f qcow2 image
        refused virtual-size "$IMG" measure $how --max-size 512k -f qcow2 -O raw image
        kept virtual-size "$IMG" convert $how --max-size 512k -f qcow2 -O raw image out
        kept virtual-size "$IMG" dd $how --max-size 512k -f qcow2 -O raw if=image of=out count=1
        # joined
        passes "$IMG" convert $how --max-size 2M -f qcow2 -O raw image image out
        kept virtual-size "$IMG" convert $how --max-size 2M -f qcow2 -O raw image image image out
    }
done
refused virtual-size "$IMG" compare --max-size 512k -f qcow2 -F raw image data
try "$IMG" compare --max-size 512k -f qcow2 -F raw image data
[ $rc = 2 ] || bad "compare: exit $rc"
# what only claims to be large
"$IMG" create -q -f qcow2 -o cluster_size=2M large 64T
refused virtual-size "$IMG" info --safe --max-size 63T -f qcow2 large
# a snapshot of a larger disk than there is now
if command -v "$REF" >/dev/null; then
    "$REF" create -q -f qcow2 shrunk 8M
    "$REF" snapshot -c then shrunk
    "$REF" resize -q --shrink shrunk 1M
    passes "$IMG" convert --max-size 1M -f qcow2 -O raw shrunk out
    kept virtual-size "$IMG" convert --max-size 1M -l then -f qcow2 -O raw shrunk out
fi
for size in 0 -1 x 1Z; do
    try "$IMG" info --max-size="$size" image
    checked
    [ $rc = 1 ] && [ -s "$T/.err" ] || bad "--max-size=$size is taken"
done
finish
