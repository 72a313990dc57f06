#!/bin/bash
# Options: the same words, the same descriptor, the same refusals as the original's.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/writing.bash"
need_reference
need_ours
scratch 50
cd "$T"

# words CMD...: what it says and how it ends, without the name of the program
words() {
    local rc=0
    "$@" >said 2>&1 </dev/null || rc=$?
    sed 's/^[a-z-]*-img: //' said
    echo "exit $rc"
}

same_words() {
    checked
    words "$IMG" "$@" >ours
    words "$REF" "$@" >theirs
    diff -u theirs ours || bad "says otherwise: $*"
}

# the descriptor of an image, wherever it is, without what is drawn
descriptor() {
    if [ "$(head -c 4 "$1")" = KDMV ]; then
        dd if="$1" bs=512 skip=1 count=20 status=none | tr -d '\0'
    else
        cat "$1"
    fi | grep -v '^CID='
}

same_descriptor() {
    checked
    "$IMG" "$@" >/dev/null
    descriptor disk.vmdk >ours
    rm -f disk*
    "$REF" "$@" >/dev/null
    descriptor disk.vmdk >theirs
    rm -f disk*
    diff -u theirs ours || bad "another descriptor: $*"
}

same_words create -f vmdk -o help
same_words create -f vmdk -o help disk.vmdk
for s in "${subformats[@]}"; do
    same_words create -f vmdk -o "subformat=$s" disk.vmdk 5G
    rm -f disk*
    for size in 0 5123 10M 5G 7000000000; do
        same_descriptor create -f vmdk -o "subformat=$s" disk.vmdk "$size"
    done
done
for o in compat6 hwversion=7,toolsversion=99 adapter_type=lsilogic adapter_type=buslogic \
    adapter_type=legacyESX zeroed_grain=on compat6,hwversion=undefined hwversion= toolsversion=x; do
    same_words create -f vmdk -o "$o" disk.vmdk 100M
    same_descriptor create -f vmdk -o "$o" disk.vmdk 100M
done
for o in adapter_type=foo adapter_type=IDE adapter_type= subformat=foo compat6,hwversion=7 \
    subformat=monolithicFlat,zeroed_grain=on subformat=twoGbMaxExtentFlat,zeroed_grain=on \
    backing_fmt=raw preallocation=metadata; do
    same_words create -f vmdk -o "$o" disk.vmdk 10M
done
same_words measure -O vmdk --size 10M
truncate -s 1M source
same_words convert -f raw -O vmdk -o subformat=foo source disk.vmdk
rm -f disk*
try "$IMG" convert -f raw -O vmdk -o subformat=foo source disk.vmdk
checked
[ $rc = 1 ] && [ ! -e disk.vmdk ] || bad "something is left of what was refused"

for o in "hwversion=$(printf "%011000d" 7)" subformat=twoGbMaxExtentSparse; do
    try "$IMG" create -q -f vmdk -o "$o" disk.vmdk 40T
    checked
    [ $rc = 1 ] && [ "$(wc -l <"$T/.err")" = 1 ] && [ ! -e disk.vmdk ] || bad "too much: $o"
done

# packed where all is, as asked where it can be, refused where it cannot
good "$IMG" convert -c -f raw -O vmdk -o subformat=streamOptimized source disk.vmdk
good "$IMG" convert -c -f raw -O vmdk source disk.vmdk
try "$IMG" convert -c -f raw -O vmdk -o subformat=monolithicFlat source disk.vmdk
checked
[ $rc = 1 ] && [ "$(wc -l <"$T/.err")" = 1 ] || bad "-c of a flat image: exit $rc"

# space, where it was asked for
rm -f disk*
good "$IMG" create -q -f vmdk -o subformat=twoGbMaxExtentFlat,preallocation=falloc disk.vmdk 3M
[ "$(du -k disk-f001.vmdk | cut -f1)" = 3072 ] || bad "no space: $(du -k disk-f001.vmdk)"

# names of extents; one that cannot be made leaves nothing behind
rm -f disk*
for name in a.b.c plain; do
    good "$IMG" create -q -f vmdk -o subformat=twoGbMaxExtentSparse "$name" 3G
done
for name in a.b-s001.c a.b-s002.c plain-s001 plain-s002; do
    checked
    [ -s "$name" ] || bad "no $name"
done
mkdir disk-s002.vmdk
try "$IMG" create -q -f vmdk -o subformat=twoGbMaxExtentSparse disk.vmdk 5G
checked
[ $rc = 1 ] && [ "$(echo disk*)" = disk-s002.vmdk ] || bad "left behind: $(echo disk*)"
finish
