#!/bin/bash
# Each subformat of every odd size: others read what went in and find nothing wrong with it.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/writing.bash"
need_reference
need_ours
scratch 400
cd "$T"

# What the original says of an image, but for what is drawn and what depends on the storage.
facts() {
    "$REF" info -f vmdk --output=json "$1/disk.vmdk" |
        grep -vE '"(actual-size|filename|cid)"|backing-filename'
}

others_read() {
    local name=$1
    if command -v 7zz >/dev/null; then
        checked
        7zz e -so -tvmdk ours/disk.vmdk >unpacked 2>/dev/null || bad "$name: 7zz cannot read it"
        cmp -n "$(stat -c %s source)" source unpacked || bad "$name: 7zz reads otherwise"
    fi
    if command -v vmdkinfo >/dev/null; then
        checked
        vmdkinfo ours/disk.vmdk >told 2>&1 || bad "$name: vmdkinfo: $(cat told)"
    fi
}

# write NAME ARGS...: convert source with ARGS, ours and theirs.
write() {
    local name=$1
    shift
    folder ours
    folder theirs
    good "$IMG" convert -f raw -O vmdk "$@" source ours/disk.vmdk || return 0
    "$REF" convert -f raw -O vmdk "$@" source theirs/disk.vmdk
    checked
    "$REF" compare -q -f raw -F vmdk source ours/disk.vmdk || bad "$name: the content differs"
    "$REF" check -q -f vmdk ours/disk.vmdk || bad "$name: check finds fault"
    [ "$(cd ours && echo *)" = "$(cd theirs && echo *)" ] || bad "$name: other files: $(ls ours)"
    facts ours >facts.ours
    facts theirs >facts.theirs
    diff -u facts.theirs facts.ours || bad "$name: info differs"
    checked
    "$IMG" compare -q -f raw -F vmdk source ours/disk.vmdk || bad "$name: we read otherwise"
    others_read "$name"
}

for size in 512 65536 $((65536 + 512)) $((32 * MIB)) $((36 * MIB + 5 * 512 + 77)); do
    guest source "$size"
    for s in "${subformats[@]}"; do
        write "$s of $size" -o "subformat=$s"
    done
done
for s in "${subformats[@]}"; do
    write "$s -S 0" -S 0 -o "subformat=$s"
done
for s in monolithicSparse twoGbMaxExtentSparse streamOptimized; do
    write "$s -c" -c -o "subformat=$s"
    write "$s, zeroed grains" -o "subformat=$s,zeroed_grain=on"
done

# the split ones, in several extents, one of them without data
truncate -s $((6 * GIB + 3 * 512)) source
put source $((2 * GIB - 70000)) text 140000 7
put source $((6 * GIB + 512)) noise 1024 8
for s in twoGbMaxExtentSparse twoGbMaxExtentFlat; do
    folder ours
    good "$IMG" convert -f raw -O vmdk -o "subformat=$s" source ours/disk.vmdk
    [ "$(ls ours | wc -l)" = 5 ] || bad "$s: $(ls ours)"
    "$REF" compare -q -f raw -F vmdk source ours/disk.vmdk || bad "$s: the content differs"
    "$REF" check -q -f vmdk ours/disk.vmdk || bad "$s: check finds fault"
    if command -v vmdkinfo >/dev/null; then
        [[ $(vmdkinfo ours/disk.vmdk) == *"(6442452480 bytes)"* ]] || bad "$s: vmdkinfo"
    fi
done
finish
