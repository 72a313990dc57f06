#!/bin/bash
# Images that are there, changed in turns by us and by the original, on each kind of extents: each
# reads what the other wrote, and the check finds nothing. A change gives the image another CID.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vmdk/same.bash"
need_reference
scratch 500
cd "$T"
SIZE=20000256

source_of() {
    truncate -s 0 "$1"
    truncate -s $SIZE "$1"
}

source_of one
put one 0 noise 3000000 1
put one 9000000 noise 5000000 2
put one 19900000 noise 100256 3
source_of two
put two 2000000 noise 9000000 4
put two 15500000 text 70000 5

# is_now IMAGE WHAT: it reads as `now`
is_now() {
    checked
    "$REF" compare -q -f vmdk -F raw "$1" now || bad "$2: the original reads otherwise"
    good "$IMG" compare -q -f vmdk -F raw "$1" now
    case $options in *Flat*) return 0 ;; esac
    good "$REF" check -q -f vmdk "$1"
    good "$IMG" check -q -f vmdk "$1"
}

# both_write OFFSET LENGTH PATTERN: by the original, here and in `now`
both_write() {
    "$REF_IO" -f vmdk -c "write -P $3 $1 $2" t.vmdk >/dev/null
    "$REF_IO" -f raw -c "write -P $3 $1 $2" now >/dev/null
}

cid() {
    "$REF" info -f vmdk "$1" | sed -n 's/^ *cid: //p'
}

# bring SOURCE: into t.vmdk, by us
bring() {
    local before
    before=$(cid t.vmdk)
    good "$IMG" convert -n -f raw -O vmdk "$1" t.vmdk
    cp "$1" now
    checked
    [ "$(cid t.vmdk)" != "$before" ] || bad "$options: the CID is as it was"
}

for options in subformat=monolithicSparse subformat=monolithicSparse,zeroed_grain=on subformat=twoGbMaxExtentSparse \
    subformat=monolithicFlat subformat=twoGbMaxExtentFlat; do
    for maker in "$REF" "$IMG"; do
        rm -f t*.vmdk
        "$maker" create -q -f vmdk -o "$options" t.vmdk $SIZE
        source_of now
        both_write 5M 3M 7
        bring one
        is_now t.vmdk "$options, once"
        both_write 13000000 70000 8
        both_write 15M 1M 9
        is_now t.vmdk "$options, with writes of the original"
        bring two
        is_now t.vmdk "$options, twice"
    done
done

# extents that the original makes none of
for options in "cowd size=39063" "cowd size=39063 grain=128 seed=2" "sparse size=39063 grain=8 gtes=512 slack=1" \
    "sparse size=39063 zero=1 flags=5 version=2" "sparse size=39063 order=backward"; do
    # shellcheck disable=SC2086
    build ${options%% *} x.vmdk now ${options#* }
    rm -f t.vmdk && ln -s x.vmdk t.vmdk
    [ ! -e x.vmdk.desc ] || ln -sf x.vmdk.desc t.vmdk
    both_write 300000 100000 7
    truncate -s $((39063 * 512)) one two
    bring one
    is_now t.vmdk "$options, once"
    both_write 13000000 70000 8
    bring two
    is_now t.vmdk "$options, twice"
    rm -f x.vmdk x.vmdk.desc t.vmdk
done

# both copies of the grain tables say the same: with the first one's place given as the second's
options=
truncate -s $SIZE one two
"$REF" create -q -f vmdk t.vmdk $SIZE
bring one
bring two
dd if=t.vmdk of=t.vmdk bs=8 skip=6 seek=7 count=1 conv=notrunc status=none
is_now t.vmdk "by the redundant grain directory"

# a commit of a child, which reads its parent meanwhile
rm -f t.vmdk
"$REF" create -q -f vmdk t.vmdk $SIZE
"$REF" convert -n -f raw -O vmdk one t.vmdk
"$REF" create -q -f vmdk -b t.vmdk -F vmdk child.vmdk
"$REF_IO" -f vmdk -c 'write -P 3 2M 1M' -c 'write -P 4 18M 70k' child.vmdk >/dev/null
"$REF" convert -f vmdk -O raw child.vmdk now
good "$IMG" commit -q child.vmdk
is_now t.vmdk commit

# a child: what is left of a grain comes from its parent
"$REF" create -q -f vmdk -b t.vmdk -F vmdk child2.vmdk
"$REF" create -q -f qcow2 -b child2.vmdk -F vmdk top
"$REF_IO" -f qcow2 -c 'write -P 3 100k 1k' -c 'write -P 4 1900000 300k' -c 'write -z 5M 1M' top >/dev/null
"$REF" convert -f qcow2 -O raw top now
good "$IMG" commit -q top
is_now child2.vmdk "commit into a child"

# what the original cannot either is left as it is
refuse() {
    local words=$1 image=$2
    cp "$image" before
    try "$IMG" convert -n -f raw -O vmdk one "$image"
    checked
    [ $rc = 1 ] || bad "$image: exit $rc"
    is_reference || grep -qF "$words" "$T/.err" || bad "$image: $(cat "$T/.err")"
    cmp "$image" before || bad "$image was changed"
}
build sparse v3.vmdk x version=3 size=39063
refuse "VMDK version 3 must be read only" v3.vmdk
is_reference || {
    build stream stream.vmdk x size=39063 # its directory stands behind the grains
    refuse "whose directory stands at the end" stream.vmdk
}

# an empty stream takes encoded grains, each once
options=subformat=streamOptimized
for flag in "" -c; do
    for base in "" "-b t.vmdk -F vmdk"; do
        # shellcheck disable=SC2086
        "$REF" create -q -f vmdk -o $options $base s.vmdk $SIZE
        # shellcheck disable=SC2086
        good "$IMG" convert -n $flag -f raw -O vmdk one s.vmdk
        cp one now
        is_now s.vmdk "a stream $flag"
        refuse "error while writing at byte 0: Could not write to allocated cluster" s.vmdk
    done
done
"$REF" create -q -f vmdk t.vmdk $SIZE
good "$IMG" convert -n -c -f raw -O vmdk two t.vmdk # as it comes
cp two now
is_now t.vmdk "grains that cannot be encoded"
finish
