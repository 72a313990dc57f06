#!/bin/bash
# Over a parent: what differs from it, zeros that hide it, the words that name it.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/writing.bash"
need_reference
need_ours
scratch 300
cd "$T"

guest base.raw $((20 * MIB))
cp base.raw top.raw
put top.raw 500000 text 1000 11
put top.raw 65536 zero 200000
put top.raw $((5 * MIB + 65536)) zero 65536
put top.raw $((19 * MIB)) noise 100 12
truncate -s $((21 * MIB + 512)) top.raw
"$REF" convert -f raw -O vmdk base.raw theirs.vmdk
good "$IMG" convert -f raw -O vmdk base.raw ours.vmdk
good "$IMG" convert -f raw -O vmdk -o subformat=monolithicFlat base.raw flat.vmdk

# word NAME FILE: a number of its descriptor
word() {
    "$REF" info -U -f vmdk "$2" | sed -n "s/^    $1: //p"
}

for parent in ours theirs flat; do
    for s in monolithicSparse twoGbMaxExtentSparse streamOptimized; do
        for zeroed in on off; do
            rm -f disk*
            name="$s over $parent, zeroed_grain=$zeroed"
            good "$IMG" convert -f raw -O vmdk -o "subformat=$s,zeroed_grain=$zeroed" \
                -B $parent.vmdk -F vmdk top.raw disk.vmdk || continue
            "$REF" compare -q -f raw -F vmdk top.raw disk.vmdk || bad "$name: differs"
            "$REF" check -q -f vmdk disk.vmdk || bad "$name: check finds fault"
            "$IMG" compare -q -f raw -F vmdk top.raw disk.vmdk || bad "$name: we read otherwise"
            [ "$(word "parent cid" disk.vmdk)" = "$(word cid $parent.vmdk)" ] ||
                bad "$name: not the parent's CID"
        done
    done
done

# a parent in another folder; none; one of another format
mkdir sub
cp ours.vmdk sub/
good "$IMG" create -q -f vmdk -b ours.vmdk -F vmdk sub/disk.vmdk
"$REF" compare -q -f raw -F vmdk base.raw sub/disk.vmdk || bad "a parent beside the image"
for args in "-o subformat=monolithicFlat -b ours.vmdk -F vmdk disk.vmdk" \
    "-b base.raw -F raw disk.vmdk" "-u -b nope.vmdk -F vmdk disk.vmdk 1M"; do
    rm -f disk*
    checked
    # shellcheck disable=SC2086
    "$IMG" create -f vmdk $args 2>&1 | sed 's/^mpi-img/qemu-img/' >said.ours || true
    # shellcheck disable=SC2086
    "$REF" create -f vmdk $args >said.theirs 2>&1 || true
    diff -u said.theirs said.ours || bad "says otherwise: create $args"
done
finish
