#!/bin/bash
# check: grains that lie behind the end of the file are told as qemu-img tells them, and nothing
# else is; damage that it reads over makes us stop.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vmdk/same.bash"
need_reference
scratch 50
cd "$T"
"$REF" create -q -f vmdk good.vmdk 10M
"$REF_IO" -f vmdk -c 'write -P 1 0 64k' -c 'write -P 2 5M 200k' good.vmdk >/dev/null
"$REF" convert -f vmdk -O vmdk -o subformat=streamOptimized good.vmdk packed.vmdk
gd=$((0x1a * 512)) gt=$((0x1b * 512)) size=$(stat -c %s good.vmdk)

checks() {
    alike check bad.vmdk
    alike check --output=json bad.vmdk
    alike check -q bad.vmdk
}
# entry IMAGE OFFSET NUMBER: a table entry of that many sectors
entry() {
    cp "$1.vmdk" bad.vmdk
    patch_bytes bad.vmdk "$2" "$(perl -e 'print unpack("H*", pack("V", $ARGV[0]))' "$3")"
    checks
}
entry good $gt 0            # lost
entry good $gt 1            # the descriptor
entry good $gt 128          # as it is
entry good $((gt + 4)) 128  # shared
entry good $gt 129          # at no grain's border
entry good $gt $((size / 512 - 1))
entry good $gt $((size / 512))
entry good $((gt + 320)) $((size / 512)) # sector 10240
entry good $((gt + 8)) 4294967295
entry good $gd 0
entry good $((0x15 * 512)) 65535 # the other directory
entry packed $gt 65535
cp good.vmdk bad.vmdk
truncate -s -100 bad.vmdk
checks
truncate -s -200000 bad.vmdk
checks
describe twoGbMaxExtentSparse 'RW 20480 SPARSE "good.vmdk"' 'RW 20480 SPARSE "bad.vmdk"' >d.vmdk
alike check d.vmdk
truncate -s 1M flat.img
describe monolithicFlat 'RW 4096 FLAT "flat.img" 0' >d.vmdk
alike check d.vmdk
alike check -r all packed.vmdk

# tables behind the end of the file: the original takes them for empty
for value in 16777215 4294967295; do
    cp good.vmdk bad.vmdk
    patch_bytes bad.vmdk $gd "$(perl -e 'print unpack("H*", pack("V", $ARGV[0]))' $value)"
    try "$IMG" check bad.vmdk
    checked
    [ $rc = 1 ] && grep -q 'could not get cluster_offset for sector 0' "$T/.err" || bad "exit $rc: $(cat "$T/.err")"
    try "$IMG" convert -O raw bad.vmdk out.raw
    checked
    [ $rc = 1 ] || bad "read without its table: exit $rc"
done
finish
