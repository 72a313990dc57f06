#!/bin/bash
# What we write, the original finds clean and equal: in every geometry, and over a backing image.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/qed/common.bash"
need_reference
scratch 700
cd "$T"
materials
create raw source $((64 * 1048576 + 3 * 512))
scribble raw source

for options in cluster_size=64k cluster_size=4k cluster_size=4k,table_size=2 \
    cluster_size=4k,table_size=16 cluster_size=16k,table_size=8 cluster_size=256k \
    cluster_size=1M,table_size=2 cluster_size=2M,table_size=4 cluster_size=4M,table_size=2; do
    good "$IMG" convert -f raw -O qed -o $options source out && judge $options qed out source
    looks qed out
done
good "$IMG" convert -f raw -O qed -S 0 source out && judge "-S 0" qed out source

# what the original cannot open, we do
for options in cluster_size=4k,table_size=1 cluster_size=8M,table_size=1; do
    good "$IMG" convert -f raw -O qed -o $options source out &&
        good "$IMG" compare -q -f raw -F qed source out || bad "$options"
    good "$IMG" check -q -f qed out || bad "$options: check"
done

# over a backing image: zeros are marked, the rest of a cluster comes from below
create raw base 64M
pattern noise 3000000 7 | dd of=base bs=1M seek=40 conv=notrunc status=none
io raw base "write -P 5 0 8M"
create qcow2 -b base -F raw upper 64M
io qcow2 upper "write -P 7 2M 1M" "write -z 3M 1M" "write -P 8 5M 512" "write -z 41M 1k"
for options in cluster_size=64k cluster_size=4k cluster_size=1M,table_size=2 \
    cluster_size=4M,table_size=2; do
    good "$IMG" convert -O qed -o $options -B base -F raw upper out && judge "-B, $options" qed out upper
    looks qed out
done
create qcow2 alone 64M
io qcow2 alone "write -P 3 1M 64k"
good "$IMG" convert -O qed -B base -F raw alone out && judge "-B of an image that has none" qed out alone

# on storage that is written around the cache, the file ends where it says
if "$IMG" convert -t none -f raw -O qed source out 2>/dev/null; then
    judge "-t none" qed out source
fi
finish
