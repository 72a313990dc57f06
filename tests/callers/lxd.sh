#!/bin/bash
# LXD: info under two seconds and a thousand million bytes, without opening anything else; direct
# I/O on both sides.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/callers/callers.bash"
callers_begin 200
disk source 40
"$REF" convert -f raw -O qcow2 source image
runs prlimit --cpu=2 --as=1000000000 qemu-img info -f qcow2 --output=json image
is "format" "$(key .format)" qcow2
is "virtual-size" "$(key '."virtual-size"')" 41943040
runs prlimit --cpu=2 --as=1000000000 qemu-img info --output=json image
is "format" "$(key .format)" qcow2
runs nice -n19 qemu-img convert -f qcow2 -O raw -t none -T none image out
reads_as out raw source

# a backing file that it may not open does not matter
"$REF" create -q -f qcow2 -b image -F qcow2 over
mv image away
runs prlimit --cpu=2 --as=1000000000 qemu-img info -f qcow2 --output=json over
is "backing-filename" "$(key '."backing-filename"')" image
finish
