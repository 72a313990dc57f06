#!/bin/bash
# Chains of vmdk images: a parent counts only as it was when the image over it was made.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vmdk/same.bash"
need_reference
scratch 100
cd "$T"

"$REF" create -q -f vmdk base.vmdk 4M
"$REF_IO" -f vmdk -c 'write -P 1 0 2M' base.vmdk >/dev/null
"$REF" create -q -f vmdk -b base.vmdk -F vmdk mid.vmdk 6M
"$REF_IO" -f vmdk -c 'write -P 2 1M 100k' -c 'write -P 3 5M 64k' mid.vmdk >/dev/null
"$REF" create -q -f vmdk -b mid.vmdk -F vmdk -o zeroed_grain=on top.vmdk
"$REF_IO" -f vmdk -c 'write -P 4 128k 64k' -c 'write -z 256k 128k' top.vmdk >/dev/null
"$REF" convert -f vmdk -O raw top.vmdk top.raw
same_disk top.vmdk top.raw
same_words top.vmdk
alike info --backing-chain top.vmdk
alike info --backing-chain --output=json top.vmdk

# the parent has changed
"$REF_IO" -f vmdk -c 'write -P 9 3M 64k' mid.vmdk >/dev/null
alike info top.vmdk
alike check top.vmdk
try "$IMG" convert -f vmdk -O raw top.vmdk no.raw
checked
[ $rc = 1 ] || bad "read through a parent that has changed: exit $rc"
grep -q "The parent 'mid.vmdk' was changed after 'top.vmdk'" "$T/.err" || bad "not told why: $(cat "$T/.err")"
# whoever names the parent himself gets no other answer; without one there is none to ask
try "$IMG" convert -O raw --image-opts driver=vmdk,file.filename=top.vmdk,backing.driver=raw,backing.file.filename=top.raw no.raw
checked
[ $rc = 1 ] || bad "read through a parent that is no vmdk: exit $rc"
good "$IMG" convert -O raw "json:{\"driver\":\"vmdk\",\"file\":{\"filename\":\"top.vmdk\"},\"backing\":null}" own.raw
"$REF" convert -O raw "json:{\"driver\":\"vmdk\",\"file\":{\"driver\":\"file\",\"filename\":\"top.vmdk\"},\"backing\":null}" theirs.raw
cmp own.raw theirs.raw || bad "read otherwise without its parent"
finish
