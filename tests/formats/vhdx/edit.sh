#!/bin/bash
# Images that are there, changed in turns by us and by the original: each reads what the other
# wrote, and the check finds nothing. Images that cannot be changed are left as they are.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
scratch 500
cd "$T"

truncate -s 40M one two
put one 0 noise 3000000 1
put one 9000000 noise 9000000 2
put one 41900000 noise 43040 3
put two 2000000 noise 9000000 4
put two 30000000 zero 1000000
put two 30500000 text 70000 5

# is_now IMAGE WHAT: it reads as `now`
is_now() {
    checked
    "$REF" compare -q -f vhdx -F raw "$1" now || bad "$2: the original reads otherwise"
    good "$IMG" compare -q -f vhdx -F raw "$1" now
    good "$REF" check -q -f vhdx "$1"
    good "$IMG" check -q -f vhdx "$1"
}

# both_write OFFSET LENGTH PATTERN: by the original, here and in `now`
both_write() {
    "$REF_IO" -f vhdx -c "write -P $3 $1 $2" t >/dev/null
    "$REF_IO" -f raw -c "write -P $3 $1 $2" now >/dev/null
}

for options in block_size=1M block_size=8M block_size=32M,block_state_zero=off subformat=fixed log_size=3M; do
    for maker in "$REF" "$IMG"; do
        "$maker" create -q -f vhdx -o "$options" t 40M
        truncate -s 0 now && truncate -s 40M now
        both_write 5M 3M 7
        good "$IMG" convert -n -f raw -O vhdx one t && cp one now
        is_now t "$options, once"
        both_write 13000000 70000 8
        both_write 25M 1M 9
        is_now t "$options, with writes of the original"
        good "$IMG" convert -n -f raw -O vhdx two t && cp two now
        is_now t "$options, twice"
    done
done

# a commit into it, which reads the overlay's holes nowhere
"$REF" create -q -f vhdx -o block_size=1M t 40M
good "$IMG" convert -n -f raw -O vhdx one t && cp one now
"$REF" create -q -f qcow2 -b t -F vhdx top
"$REF_IO" -f qcow2 -c 'write -P 3 12M 2M' -c 'write -z 17M 1M' top >/dev/null
"$REF_IO" -f raw -c 'write -P 3 12M 2M' -c 'write -z 17M 1M' now >/dev/null
good "$IMG" commit -q top
is_now t commit

# nothing comes into an image that is larger than the source but what the source has
truncate -s 60M now
"$REF" create -q -f vhdx t 60M
"$REF_IO" -f vhdx -c 'write -P 5 50M 1M' t >/dev/null
"$REF_IO" -f raw -c 'write -P 5 50M 1M' now >/dev/null
good "$IMG" convert -n -f raw -O vhdx two t
dd if=two of=now conv=notrunc status=none bs=1M
is_now t "a shorter source"

if ! is_reference; then
    # sectors of 4096 bytes, of which the original reads nothing
    vhdx make four.vhdx sector=4096 size=40M block=1M put=3M,3M,7
    good "$IMG" convert -n -f raw -O vhdx two four.vhdx
    good "$IMG" compare -q -f vhdx -F raw four.vhdx two
    good "$IMG" check -q four.vhdx

    # a parent: what its child holds goes into it; the child itself is left as it is
    vhdx make parent.vhdx size=40M block=1M put=3M,3M,7
    vhdx make child.vhdx size=40M block=1M parent=parent.vhdx linkage="$(vhdx guid parent.vhdx)" \
        put=5M,64k,9 put=20M,3M,1
    good "$IMG" convert -f vhdx -O raw child.vhdx now
    cp child.vhdx child-before
    good "$IMG" commit -q -f vhdx child.vhdx
    is_now parent.vhdx "commit of a differencing image"
    cmp child.vhdx child-before || bad "the child was changed"
    refused "a child" convert -n -f raw -O vhdx two child.vhdx
    grep -q 'Writing to VHDX images that have a parent is not supported' "$T/.err" || bad "a child: $(cat "$T/.err")"
    cmp child.vhdx child-before || bad "the child was changed"
fi
finish
