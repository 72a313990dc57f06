#!/bin/bash
# virt-v2v and its documented steps by hand: an overlay protects the source, the size of the target
# is measured, and the overlay goes into a disk or an export that is there.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/callers/callers.bash"
. "$TESTS/servers.sh"
callers_begin 300
disk source 40
"$REF" convert -f raw -O vmdk source source.vmdk

runs qemu-img info --output json source.vmdk
is "format" "$(key .format)" vmdk
is "virtual-size" "$(key '."virtual-size"')" 41943040

runs qemu-img create -q -f qcow2 -b "$T/source.vmdk" -o compat=1.1,backing_fmt=vmdk overlay
"$REF_IO" -c "write -P 4 3M 1M" overlay >/dev/null
"$REF" convert -O raw overlay wanted

runs qemu-img measure -f qcow2 -O raw --output=json overlay
is "required" "$(key .required)" 41943040
runs qemu-img measure -f qcow2 -O qcow2 --output=json overlay
required=$(key .required)
runs qemu-img measure -f qcow2 -O qcow2 --output=human overlay
is "required size" "$(sed -n 's/^required size: //p' "$T/.out")" "$required"

truncate -s 40M disk.raw
runs qemu-img convert -p -n -f qcow2 -O raw overlay disk.raw
progress_ok
reads_as disk.raw raw wanted
rm disk.raw
truncate -s 40M disk.raw
runs qemu-img convert -p -n -f qcow2 -O raw -W overlay disk.raw
progress_ok
reads_as disk.raw raw wanted

runs qemu-img create -f qcow2 -o preallocation=off,compat=1.1 disk.qcow2 41943040
runs qemu-img convert -p -n -f qcow2 -O qcow2 -W overlay disk.qcow2
progress_ok
reads_as disk.qcow2 qcow2 wanted
checked
[ "$(stat -c %s disk.qcow2)" -le "$required" ] || bad "larger than measured"

runs qemu-img convert -f qcow2 -O qcow2 -c overlay packed.qcow2
reads_as packed.qcow2 qcow2 wanted

if command -v nbdkit >/dev/null && "$REF" --help | grep -q ' nbd '; then
    at_exit+=(nbd_stop)
    truncate -s 40M served
    nbd_serve file served
    runs qemu-img convert -p -n -f qcow2 -O raw overlay "nbd:unix:$T/nbd.sock"
    progress_ok
    nbd_stop
    reads_as served raw wanted
fi
finish
