#!/bin/bash
# Images that qemu-img and qemu-io made: the same contents, the same words about them.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
scratch 900
cd "$T"
materials

# look IMAGE: all that can be asked of it
look() {
    alike info "$1"
    alike info --output=json "$1"
    alike check "$1"
    alike check --output=json "$1"
    alike map --output=json "$1"
    alike map "$1"
    "$REF" convert -f vhdx -O raw "$1" theirs
    good "$IMG" convert -O raw "$1" ours || return 0
    cmp ours theirs || bad "$1: read otherwise"
    alike compare -f vhdx -F raw "$1" theirs
}

for options in block_size=1M block_size=2M block_size=256M,log_size=3M block_state_zero=off \
    block_size=1M,subformat=fixed subformat=fixed,block_state_zero=off,block_size=2M; do
    create vhdx -o "$options" image 64M
    look image
    scribble vhdx image
    look image
done
# sizes that are not in blocks; a disk of no bytes
for size in 0 512 1 1049088 $((20 * 1048576 + 512)); do
    create vhdx -o block_size=1M image "$size"
    [ "$size" -lt 1000000 ] || io vhdx image "write -P 7 1M 512" "write -P 8 0 1k"
    look image
    create vhdx -o subformat=fixed,block_state_zero=off image "$size"
    look image
done
# over the places of sector bitmaps in the table: after 16, 4096 blocks
create vhdx -o block_size=256M image 20G
io vhdx image "write -P 1 4095M 2M" "write -P 2 8191M 2M" "write -P 3 20479M 1M"
good "$IMG" compare image image
checked
"$REF" convert -f vhdx -O qcow2 image theirs
"$IMG" compare -q -f vhdx -F qcow2 image theirs || bad "blocks of 256 MiB: read otherwise"
create vhdx -o block_size=1M image 20G
io vhdx image "write -P 1 4095M 2M" "write -P 2 8191M 2M" "write -P 3 20479M 1M"
checked
"$REF" convert -f vhdx -O qcow2 image theirs
"$IMG" compare -q -f vhdx -F qcow2 image theirs || bad "blocks of 1 MiB: read otherwise"
# a format that it is not
truncate -s 1M other
alike info -f vhdx other
: >other
alike info -f vhdx other
alike measure -O vhdx --size 1G
finish
