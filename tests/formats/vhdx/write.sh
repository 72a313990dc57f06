#!/bin/bash
# What we write, others read: the same contents, and tables as qemu-img would have made them.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
scratch 900
cd "$T"
materials
create raw source 64M
scribble raw source

# regions IMAGE: where BAT and metadata are
regions() {
    bat=$(le "$1" $((0x30020)) 8) metadata=$(le "$1" $((0x30040)) 8)
}

part() {
    dd if="$1" bs=64k skip="$(($2))" count="$(($3))" iflag=skip_bytes,count_bytes status=none
}

# The same places of blocks, the same metadata but for identifiers.
same_tables() {
    regions theirs
    cmp <(part ours "$bat" $((metadata - bat))) <(part theirs "$bat" $((metadata - bat))) ||
        bad "$1: another BAT"
    cmp <(part ours "$metadata" 65552) <(part theirs "$metadata" 65552) || bad "$1: other metadata"
    cmp <(part ours $((metadata + 65568)) 8) <(part theirs $((metadata + 65568)) 8) ||
        bad "$1: other sectors"
    [ "$(stat -c %s ours)" = "$(stat -c %s theirs)" ] || bad "$1: another length"
}

write_as() {
    local name=$1
    shift
    good "$IMG" convert -f raw -O vhdx "$@" source ours || return 0
    "$REF" convert -f raw -O vhdx "$@" source theirs
    "$REF" check -q -f vhdx ours || bad "$name: check finds fault"
    "$REF" compare -q -f raw -F vhdx source ours || bad "$name: compare finds a difference"
    case $name in *fixed*) ;; *) same_tables "$name" ;; esac
    [ -n "$seven" ] || return 0
    "$seven" e -so -tvhdx ours >unpacked 2>/dev/null || bad "$name: 7zz cannot read it"
    cmp source unpacked || bad "$name: 7zz reads otherwise"
}

write_as plain
for size in 1M 2M 4M 32M 256M; do
    write_as "block $size" -o "block_size=$size"
done
write_as "log 3M" -o log_size=3M,block_size=1M
write_as "not marked as zeros" -o block_state_zero=off,block_size=1M
write_as "-S 0" -S 0 -o block_size=1M
write_as "fixed" -o subformat=fixed
write_as "fixed, block 1M" -o subformat=fixed,block_size=1M
write_as "fixed, block 16M" -o subformat=fixed,block_size=16M,block_state_zero=off

create raw source $((64 * 1048576 + 3 * 512))
scribble raw source
seven= # takes whole MiB only
write_as "odd size"
write_as "odd size, block 1M" -o block_size=1M
write_as "odd size, fixed" -o subformat=fixed

# fixed: every block in order, whether there is data or not
good "$IMG" create -q -f vhdx -o subformat=fixed,block_size=1M ours 20M
regions ours
for i in $(seq 0 19); do
    [ "$(le ours $((bat + 8 * i)) 8)" = $((((8 + i) << 20) + 6)) ] || bad "fixed: entry $i"
done
io vhdx ours "write -P 5 3M 100k"
checked
[ "$(stat -c %s ours)" = $((28 * 1048576)) ] || bad "fixed: grew"

# data around the places of sector bitmaps in the table
create raw source 9G
io raw source "write -P 1 4095M 2M" "write -P 2 8191M 2M" "write -P 3 9215M 512k"
for size in 1M 256M; do
    good "$IMG" convert -f raw -O vhdx -o block_size=$size source ours
    "$REF" convert -f raw -O vhdx -o block_size=$size source theirs
    same_tables "9 GiB, block $size"
    "$REF" check -q -f vhdx ours || bad "9 GiB: check finds fault"
    "$REF" compare -q -f raw -F vhdx source ours || bad "9 GiB: compare finds a difference"
done

# written on by the original
create raw source 64M
good "$IMG" convert -f raw -O vhdx -o block_size=2M source ours
for image in ours source; do
    scribble "$([ $image = ours ] && echo vhdx || echo raw)" $image
done
"$REF" compare -q -f raw -F vhdx source ours || bad "written on: another content"
good "$IMG" compare -q -f raw -F vhdx source ours
finish
