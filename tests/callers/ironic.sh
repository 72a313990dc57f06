#!/bin/bash
# OpenStack Ironic: convert under 2 GiB of address space; it is tried again if stderr says that
# memory or the like was short, so these words must be there when it was.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/callers/callers.bash"
callers_begin 300
disk source 40
"$REF" convert -f raw -O qcow2 source image
"$REF" convert -c -f raw -O qcow2 source packed

convert() {
    MALLOC_ARENA_MAX=3 LC_ALL=C prlimit --as=$((2 << 30)) qemu-img convert "$@"
}
for image in image packed; do
    runs convert -f qcow2 -O raw $image out
    reads_as out raw source
    runs convert -f qcow2 -O raw -t none $image out
    reads_as out raw source
    runs convert -f qcow2 -O raw -t directsync -S 0 -W $image out
    reads_as out raw source
    runs convert -f qcow2 -O raw -S 64k $image out
    reads_as out raw source
done
runs convert -f raw -O qcow2 source out
reads_as out qcow2 source
runs prlimit --as=$((1 << 30)) --cpu=30 qemu-img info --output=json -f qcow2 image
is "format" "$(key .format)" qcow2

# far too little
if ! is_reference; then
    checked
    try prlimit --as=$((100 << 20)) qemu-img convert -f qcow2 -O raw --memory 4G image short
    if [ $rc != 0 ]; then
        grep -qE 'Cannot allocate memory|Resource temporarily unavailable' "$T/.err" ||
            bad "short of memory: $(cat "$T/.err")"
        [ ! -e short ] || bad "an unfinished file"
    fi
fi
finish
