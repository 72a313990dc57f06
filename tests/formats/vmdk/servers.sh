#!/bin/bash
# Images that only other programs make: streams with a footer, redo logs of servers, plain disks of
# servers. Built from the published layouts; the original reads them as we do.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vmdk/same.bash"
need_reference
need perl
scratch 200
cd "$T"

# both KIND [key=value...]: built, read by both as the same disk, and described alike
both() {
    local image=x.vmdk
    build "$1" x.vmdk x.raw "${@:2}"
    [ ! -e x.vmdk.desc ] || image=x.vmdk.desc
    "$REF" compare -q -f vmdk -F raw $image x.raw || bad "the original reads otherwise: $*"
    same_disk $image x.raw
    same_words $image
    rm -f x.vmdk x.vmdk.desc
}

both stream size=100000
both stream size=70003 short=1 seed=1                 # the last grain holds no more than the disk
both stream size=70003 seed=4 slack=3 level=9         # grains do not follow at once
both stream size=30000 grain=64 gtes=128 zero=1 flags=196613
both sparse size=200003 order=backward
both sparse size=30003 zero=1 flags=5 version=2
both sparse size=30003 zero=1 flags=5 version=3 seed=5
both sparse size=20000 grain=8 gtes=512 slack=1
both sparse size=20001 grain=1 gtes=512
both sparse size=20010 grain=24 gtes=100              # no powers of two
both cowd size=20003
both cowd size=40000 grain=8 seed=2
both cowd size=300000 grain=128
both sesparse size=100003 zero=1
both sesparse size=70000 zero=1 order=backward seed=6

# a plain disk of a server, and one that is a redo log over it
pattern noise 1048576 >disk-flat.vmdk
describe vmfs 'RW 2048 VMFS "disk-flat.vmdk"' >disk.vmdk
same_disk disk.vmdk disk-flat.vmdk
same_words disk.vmdk
build cowd log-delta.vmdk log.raw size=2048 seed=3
sed 's/parentCID=.*/parentCID=00000001/; s/^# Extent/parentFileNameHint="disk.vmdk"\n&/' \
    log-delta.vmdk.desc >log.vmdk
"$REF" convert -f vmdk -O raw log.vmdk theirs.raw
same_disk log.vmdk theirs.raw
same_words log.vmdk
finish
