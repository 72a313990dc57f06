#!/bin/bash
# check of damaged tables: the lines, counts and exit codes of the original, and what it lets pass.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
scratch 100
cd "$T"

create vhdx -o block_size=1M good.vhdx 64M
io vhdx good.vhdx "write -P 5 0 5M" "write -P 6 9M 100k"
bat=$((2 * 1048576))

# damage [ENTRY VALUE]...: BAT entries
damage() {
    cp good.vhdx image
    while [ $# -gt 0 ]; do
        put_le64 image $((bat + 8 * $1)) "$2"
        shift 2
    done
}

both() {
    alike check image
    alike check --output=json image
    alike check -q image
}

damage
both
# outside of the file, on the log, the BAT, the metadata; places that do not count
for value in 0x100000006 0xe00006 0xfffffffffff00006 0x100006 0x200006 0x300006 0xdfff06 \
    0x100000002 0x800002 0x800000 0x100000000 0xd00001 0xd00003 0xd00005; do
    [ $value = 0xdfff06 ] && io=(9 0) || io=()
    damage 1 $value "${io[@]}"
    both
done
damage 1 0x300006 2 0x100006 3 0x100000006 9 0x200006
both
for length in 14000000 13631488 13631489 12631489 8388608; do
    cp good.vhdx image
    truncate -s "$length" image
    both
done
# the last block need not be there as a whole
create vhdx -o block_size=8M image 20M
io vhdx image "write 19M 1M"
for cut in 0 1 4 5 7; do
    truncate -s $(((16 - cut) * 1048576)) image
    both
done
# large blocks, and the numbers of entries behind a sector bitmap's
create vhdx -o block_size=256M good.vhdx 20G
io vhdx good.vhdx "write 17G 1k"
put_le64 good.vhdx $((bat + 8 * 72)) 0x100006
cp good.vhdx image
both

# -- what the original lets pass -------------------------------------------------------------------

if ! is_reference; then
    create vhdx -o block_size=1M good.vhdx 64M
    io vhdx good.vhdx "write -P 5 0 5M"
    ours() {
        damage "$1" "$2"
        try "$IMG" check image
        checked
        [ $rc = 2 ] || bad "entry $1 = $2: exit $rc"
        grep -q "VHDX BAT entry $1 " .err || bad "entry $1 = $2: $(cat .err)"
    }
    ours 1 0x800006 # the place of another block
    ours 1 6        # the header's
    ours 1 4        # no state
    ours 1 0xc00007 # partly present, but there is no parent
    ours 1 7
    # with little memory fewer places are compared, and no more is used
    good "$IMG" check --memory=1k good.vhdx
fi
finish
