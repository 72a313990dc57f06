#!/bin/bash
# What other programs say of the images that the tests build: 7-Zip unpacks them, libvmdk describes
# them.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vmdk/same.bash"
need perl
scratch 100
cd "$T"
command -v 7zz >/dev/null || command -v vmdkinfo >/dev/null || skip "neither 7zz nor vmdkinfo is installed"

judge() {
    if command -v 7zz >/dev/null; then
        checked
        7zz e -so -tvmdk "$1" >theirs.raw 2>/dev/null || bad "7zz cannot read $1"
        good "$IMG" convert -f vmdk -O raw "$1" ours.raw
        cmp ours.raw theirs.raw || bad "7zz reads $1 otherwise"
    fi
    if command -v vmdkinfo >/dev/null; then
        checked
        vmdkinfo "$1" >words 2>&1 || bad "vmdkinfo cannot read $1"
        grep -q "($(stat -c %s "$2") bytes)" words || bad "vmdkinfo finds another size of $1"
    fi
}
build stream stream.vmdk stream.raw size=70000
judge stream.vmdk stream.raw
build sparse sparse.vmdk sparse.raw size=70003 order=backward
judge sparse.vmdk sparse.raw
if command -v "$REF" >/dev/null; then
    "$REF" convert -f raw -O vmdk sparse.raw theirs.vmdk
    judge theirs.vmdk sparse.raw
fi
finish
