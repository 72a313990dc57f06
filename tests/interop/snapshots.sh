#!/bin/bash
# convert -l reads an internal snapshot, named in any of the three ways.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/fixtures.bash"
need_reference
scratch 700

load_it() {
    local param
    for param in first second 1 2 snapshot.name=first snapshot.id=2 snapshot.id=1,snapshot.name=first; do
        "$REF" convert -l "$param" -f qcow2 -O raw "$1" theirs
        good "$IMG" convert -l "$param" -f qcow2 -O raw "$1" ours || continue
        cmp ours theirs || bad "-l $param: read otherwise"
    done
    try "$IMG" convert -l third -f qcow2 -O raw "$1" never
    checked
    [ $rc = 1 ] && grep -q "Failed to load snapshot: Can't find snapshot" "$T/.err" ||
        bad "-l third: exit $rc, $(cat "$T/.err")"
    [ ! -e never ] || bad "-l third left a file"
}

cd "$T"
materials
each load_it snapshots
finish
