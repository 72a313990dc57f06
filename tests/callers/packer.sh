#!/bin/bash
# Packer's QEMU builder: disks made, resized, and packed when the machine is done.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/callers/callers.bash"
callers_begin 300
disk source 40
"$REF" convert -f raw -O qcow2 source source.qcow2

size_of() {
    "$REF" info --output=json "$1" | jq '."virtual-size"'
}

runs qemu-img create -f qcow2 target.qcow2 1234M
is "size" "$(size_of target.qcow2)" $((1234 << 20))
runs qemu-img create -f raw target 4M
is "size" "$(stat -c %s target)" $((4 << 20))
runs qemu-img create -f qcow2 -b source.qcow2 -F qcow2 target.qcow2 1234M
is "size" "$(size_of target.qcow2)" $((1234 << 20))
runs qemu-img create -f qcow2 target-1 3M

# a disk image as the source: copied, resized
cp source.qcow2 copy.qcow2
runs qemu-img resize -f qcow2 copy.qcow2 64M
is "size" "$(size_of copy.qcow2)" $((64 << 20))

# done: without holes and packed
runs qemu-img convert -O qcow2 source.qcow2 out.qcow2
reads_as out.qcow2 qcow2 source
runs qemu-img convert -c -O qcow2 source.qcow2 packed.qcow2
reads_as packed.qcow2 qcow2 source
checked
[ "$(stat -c %s packed.qcow2)" -lt "$(stat -c %s out.qcow2)" ] || bad "not packed"
runs qemu-img convert -O qcow2 -o preallocation=metadata source.qcow2 there.qcow2
reads_as there.qcow2 qcow2 source
runs qemu-img convert -O raw source.qcow2 out.raw
reads_as out.raw raw source
for image in out packed there; do
    checked
    "$REF" check -q $image.qcow2 || bad "$image.qcow2 is not clean"
done
finish
