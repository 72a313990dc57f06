#!/bin/bash
# Images of all kinds that qemu-img makes, fresh, full, written at random and of odd sizes, read and
# described as it does.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vmdk/same.bash"
need_reference
scratch 300
cd "$T"
kinds="monolithicSparse monolithicFlat twoGbMaxExtentSparse twoGbMaxExtentFlat streamOptimized"

both() {
    "$REF" convert -f vmdk -O raw "$1" theirs.raw
    same_disk "$1" theirs.raw
    same_words "$1"
}

truncate -s 7340544 source.raw # no whole number of grains
put source.raw 0 text 300000
put source.raw 1048576 noise 200000
put source.raw 5000000 text 1000000
put source.raw 7340032 noise 512

for kind in $kinds; do
    "$REF" convert -f raw -O vmdk -o subformat="$kind" source.raw "full-$kind.vmdk"
    same_disk "full-$kind.vmdk" source.raw
    same_words "full-$kind.vmdk"
    "$REF" create -q -f vmdk -o subformat="$kind" "empty-$kind.vmdk" 2200M
    same_words "empty-$kind.vmdk"
done
for kind in monolithicSparse twoGbMaxExtentSparse; do
    "$REF" create -q -f vmdk -o subformat="$kind",zeroed_grain=on "scattered-$kind.vmdk" 2100M
    # around a border of two extents, half grains, a grain that is zeroed again, the last sector
    "$REF_IO" -f vmdk -c 'write -P 1 2047M 2M' -c 'write -P 2 100k 3k' -c 'write -P 3 1M 200k' \
        -c 'write -z 1088k 128k' -c 'write -P 4 2202009088 512' -c 'write -P 5 64k 512' \
        "scattered-$kind.vmdk" >/dev/null
    good "$IMG" compare -q "scattered-$kind.vmdk" "scattered-$kind.vmdk"
    good "$REF" compare -q "scattered-$kind.vmdk" "scattered-$kind.vmdk"
    good "$IMG" convert -O qcow2 "scattered-$kind.vmdk" copy.qcow2
    good "$REF" compare -q "scattered-$kind.vmdk" copy.qcow2
    same_words "scattered-$kind.vmdk"
done
"$REF" create -q -f vmdk -o compat6=on,adapter_type=lsilogic compat6.vmdk 3M
"$REF_IO" -f vmdk -c 'write -P 9 1M 1M' compat6.vmdk >/dev/null
both compat6.vmdk

# what a strict comparison sees of them
for kind in $kinds; do
    alike compare -s full-monolithicSparse.vmdk "full-$kind.vmdk"
    alike compare -s -F raw "full-$kind.vmdk" source.raw
    alike compare -s "full-$kind.vmdk" "full-$kind.vmdk"
    alike compare -s empty-monolithicSparse.vmdk "empty-$kind.vmdk"
done
alike compare -s scattered-monolithicSparse.vmdk scattered-twoGbMaxExtentSparse.vmdk

# beside the image, by a path, in another folder
mkdir sub
"$REF" create -q -f vmdk -o subformat=monolithicFlat sub/flat.vmdk 1M
same_words sub/flat.vmdk
same_words "$T/sub/flat.vmdk"
alike info 'json:{"driver":"vmdk","foo":1,"file":{"driver":"file","filename":"compat6.vmdk"}}'
alike info --image-opts driver=vmdk,file.filename=compat6.vmdk
alike measure -O qcow2 full-streamOptimized.vmdk
alike measure -O vmdk compat6.vmdk
finish
