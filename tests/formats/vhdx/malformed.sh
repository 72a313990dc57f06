#!/bin/bash
# Damaged and hostile images: one place a case is patched; each is refused with one line, or read.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
need_ours
scratch 200
cd "$T"

# metadata at 2 MiB + log, BAT behind it
vhdx make good.vhdx size=64M put=3M,3M,7 put=63M,4k,9
vhdx make base.vhdx size=64M put=0,1M,1 guid=0badcafe-0000-1111-2222-333333333333
vhdx make child.vhdx size=64M parent=base.vhdx linkage=0badcafe-0000-1111-2222-333333333333 \
    put=3M,512,7 put=5M,1k,9
header=65536 regions=196608 meta=$((3 << 20)) bat=$((4 << 20))
items=$((meta + 65536))

# all_refuse NAME: every subcommand that reads refuses `bad`
all_refuse() {
    local args
    for args in "info bad" "convert -f vhdx -O raw bad out" "map -f vhdx bad" "check -f vhdx bad"; do
        # shellcheck disable=SC2086  # words
        refused "$1" $args
    done
}

# reading NAME: only what reads the damaged place refuses
reading() {
    refused "$1" convert -O raw bad out
}

# headers HEX PLACE: patch both headers, make their checksums right
both_headers() {
    cp good.vhdx bad
    patch_bytes bad $((header + $1)) "$2"
    patch_bytes bad $((header + 65536 + $1)) "$2"
    vhdx seal bad
}

# -- identifier, headers ---------------------------------------------------------------------------

cp good.vhdx bad
patch_bytes bad 0 00
refused "no signature" info -f vhdx bad
for length in 0 7 8 65536 65600 131072 200000 262144 1000000 3145728 3145800 4194304; do
    head -c "$length" good.vhdx >bad
    refused "cut at $length" info -f vhdx bad
    refused "cut at $length" check -f vhdx bad
done
for at in 65536 131072; do # one header is enough
    cp good.vhdx bad
    patch_bytes bad $at 00
    good "$IMG" compare -q bad good.vhdx
    cp good.vhdx bad
    patch_bytes bad $((at + 4)) 00
    good "$IMG" compare -q bad good.vhdx
done
cp good.vhdx bad
patch_bytes bad 65536 00
patch_bytes bad 131072 00
all_refuse "no header"
cp good.vhdx bad
vhdx header bad 1 sequence=7 log_length=2M
all_refuse "two headers that differ"
both_headers 66 0000
all_refuse "version 0"
both_headers 66 0200
all_refuse "version 2"
both_headers 68 01000000
all_refuse "log of one byte"
both_headers 68 0000f0ff
all_refuse "log of 4095 MiB over all regions"
both_headers 72 0000000000000000
all_refuse "log at 0"
both_headers 72 0100100000000000
all_refuse "log at 1 MiB and 1"
both_headers 72 0000f0ffffffffff
all_refuse "log at the end of the world"
both_headers 72 0000400000000000
all_refuse "log on the BAT"
both_headers 48 01
good "$IMG" compare -q bad good.vhdx # a log that was never begun

# -- regions ---------------------------------------------------------------------------------------

# region OFFSET HEX: in both tables
region() {
    cp good.vhdx bad
    patch_bytes bad $((regions + $1)) "$2"
    patch_bytes bad $((regions + 65536 + $1)) "$2"
    vhdx seal bad
    all_refuse "region table $1 = $2"
}
for at in $regions $((regions + 65536)); do # one table is enough
    cp good.vhdx bad
    patch_bytes bad $((at + 60000)) 01
    good "$IMG" compare -q bad good.vhdx
done
patch_bytes bad $((regions + 60000)) 01
all_refuse "two region tables"
for count in 00000000 01000000 03000000 00080000 ffffffff; do
    region 8 $count
done
for guid in 00 ff; do
    region 16 $guid
    region 48 $guid
done
region 48 06a27c8b90479a4bb8fe575f050f886e0000300000000000
for offset in 0000000000000000 0000100000000000 0000300000000000 0100400000000000 \
    0000000000100000 0000f0ffffffff7f 0000f0ffffffffff; do
    [ $offset = 0000300000000000 ] || region 32 $offset
    region 64 $offset
done
for length in 00000000 01000000 ffffffff; do
    region 72 $length
    region 40 $length
done
region 40 0000f0ff # the metadata over the BAT

# -- metadata --------------------------------------------------------------------------------------

metadata() {
    cp good.vhdx bad
    patch_bytes bad $((meta + $1)) "$2"
    all_refuse "metadata $1 = $2"
}
item() {
    cp good.vhdx bad
    patch_bytes bad $((items + $1)) "$2"
    all_refuse "item $1 = $2"
}
metadata 0 00
for count in 0000 0400 0008 ffff; do
    metadata 10 $count
done
for entry in 32 64 96 128 160; do
    metadata $entry ffffffff
    metadata $((entry + 16)) 00000000
    metadata $((entry + 16)) 00ff0000
    metadata $((entry + 16)) ffff0f00
    metadata $((entry + 16)) ffffffff
    metadata $((entry + 20)) 00000000
    metadata $((entry + 20)) 03000000
    metadata $((entry + 20)) ffffffff
    metadata $((entry + 24)) 05000000
done
cp good.vhdx bad # an item twice
patch_bytes bad $((meta + 10)) 0600
patch_bytes bad $((meta + 192)) 3767a1ca36fa434db3b633f0aa44e76b00000200080000000400000000000000
all_refuse "an item twice"
for block in 00000000 01000000 00000800 00003000 00000020 ffffffff; do
    item 0 $block
done
item 4 02000000
for size in 0100000000000000 0000000001400000 ffffffffffffffff 0002000000400000; do
    item 8 $size
done
for sector in 00000000 00010000 00200000 ffffffff; do
    item 32 $sector
done
item 8 0000000040000000 # larger than its BAT

# -- BAT -------------------------------------------------------------------------------------------

entry() {
    cp good.vhdx bad
    put_le64 bad $((bat + 24)) "$1"
    reading "BAT entry $1"
    good "$IMG" info bad
    try timeout 20 "$IMG" check bad
    checked
    [ $rc = 2 ] || bad "BAT entry $1: check exits with $rc"
}
for value in 6 7 4 0x100006 0x300006 0x400006 0x900006 0x100000006 0x7ffffffffff00006 \
    0xfffffffffff00006 0x500007; do
    entry $value
done
for length in 9437183 9433089 6000000 5242881; do # 63M..: the last block's last byte
    cp good.vhdx bad
    truncate -s $length bad
    reading "cut at $length"
done

# -- parent, sector bitmaps ------------------------------------------------------------------------

# the locator follows the items of fixed length; its entries are 20 bytes behind its begin
locator=$((items + 40))
parent() {
    cp child.vhdx bad
    patch_bytes bad $((locator + $1)) "$2"
    all_refuse "locator $1 = $2"
}
parent 0 00
parent 18 0000
parent 18 ffff
parent 20 ffffff7f
parent 24 ffffffff
parent 28 ffff
parent 30 0300
parent 30 0200
parent 32 ffffff7f
parent 44 00d8
for entry in 20 32; do
    parent $((entry + 8)) 0000
done
bitmap=$((bat + 8 * 4096))
bitmap_at=$(($(le child.vhdx $bitmap 8) & ~0xfffff))
[ $bitmap_at -gt $bat ] || fail "no sector bitmap where it is looked for"
for value in 0 1 2 7 6 0x300006 0x100000006 0xfffffffffff00006; do
    cp child.vhdx bad
    put_le64 bad $bitmap $value
    reading "sector bitmap $value"
done
cp child.vhdx bad
truncate -s $((bitmap_at + 100)) bad
reading "sector bitmap cut short"
cp child.vhdx bad
put_le64 bad $((bat + 24)) 0x100000007
reading "partial block outside"
finish
