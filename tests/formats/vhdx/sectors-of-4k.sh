#!/bin/bash
# Logical sectors of 4096 bytes, which the original refuses: one sector bitmap stands for eight times
# as much, so the table has its gaps elsewhere.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
need_ours
scratch 300
cd "$T"

for block in 1M 8M 256M; do
    vhdx make image.vhdx sector=4096 size=96M block=$block put=3M,3M,7 put=95M,4k,9 put=0,4k,1
    create raw model 96M
    io raw model "write -P 7 3M 3M" "write -P 9 95M 4k" "write -P 1 0 4k"
    good "$IMG" check -q image.vhdx
    good "$IMG" convert -O raw image.vhdx ours
    cmp ours model || bad "block $block: read otherwise"
    good "$IMG" convert -O vhdx image.vhdx new.vhdx
    checked
    "$REF" compare -q -f raw -F vhdx model new.vhdx || bad "block $block: written otherwise"
    [ -n "$seven" ] || continue
    "$seven" e -so image.vhdx >unpacked 2>/dev/null || bad "block $block: 7zz cannot read it"
    cmp unpacked model || bad "block $block: 7zz reads otherwise"
done
# 32768 blocks of 1 MiB before the first gap
vhdx make image.vhdx sector=4096 size=33G put=32767M,2M,7 put=33791M,4k,9 put=4095M,2M,1
create raw model 33G
io raw model "write -P 7 32767M 2M" "write -P 9 33791M 4k" "write -P 1 4095M 2M"
good "$IMG" compare -q image.vhdx model
# sizes are in sectors
vhdx make image.vhdx sector=4096 size=1049088
refused "a size of half a sector" info image.vhdx
vhdx make image.vhdx sector=1024 size=1M
refused "sectors of 1 KiB" info image.vhdx
finish
