#!/bin/bash
# host_device: block devices as source and target, with sectors of 512 and of 4096 bytes.
. "$(dirname "$0")/../../lib.sh"
. "$(dirname "$0")/../../servers.sh"
need_reference
need losetup
scratch 400
cd "$T"
dev=
detach() {
    [ -z "$dev" ] || losetup -d "$dev" 2>/dev/null || true
    dev=
}
at_exit+=(detach)
# attach LOSETUP-ARGS...: a device, as $dev
attach() {
    detach
    dev=$(losetup -f --show "$@" 2>/dev/null) || skip "no loop device can be made here"
}
truncate -s 24M disk
for at in 0 1 5 6 13 22; do put disk $((at * 1048576 + at * 5000)) noise $((at * 50000 + 70000)) "$at"; done
truncate -s 24M disk
pattern noise $((25 * 1048576)) 99 >old
cp old store

attach store
like_reference info "$dev"
like_reference info --output=json "$dev"
like_reference info "host_device:$dev"
like_reference info --image-opts "driver=file,filename=$dev"
like_reference info host_device:disk
like_reference map --output=json "$dev"
truncate -s 26M large
like_reference convert -O raw large "$dev"
like_reference convert -n -O raw large "$dev"
like_reference create -f raw "$dev" 26M
like_reference create -f raw -o help "$dev"
like_reference convert -O raw -o preallocation=full disk "$dev"
like_reference convert -O raw -o preallocation=falloc disk "$dev"
cmp old "$dev" || bad "refused, and yet written to"

for sector in 512 4096; do
    for cache in none writeback directsync; do
        for opt in -n ""; do
            cp old store
            attach -b $sector store
            # shellcheck disable=SC2086
            good "$IMG" convert $opt -t $cache -f raw -O raw disk "$dev" || continue
            cmp -n $((24 * 1048576)) disk "$dev" || bad "to sectors of $sector, -t $cache ${opt:-no -n}"
            good "$IMG" convert -T $cache -f raw -O raw "$dev" out || continue
            cmp "$dev" out || bad "from sectors of $sector, -T $cache"
        done
    done
    cp old store
    attach -b $sector store
    good "$IMG" convert -t none -f raw -O qcow2 -c disk "$dev" || true
    good "$REF" check "$dev" || true
    good "$REF" compare disk "$dev" || true
    good "$IMG" compare -T none disk "$dev" || true
    like_reference info "$dev"
    good "$IMG" create -q -f raw "$dev" 1M
    [ "$("$REF" info --output=json "$dev" | jq -r .format)" = raw ] || bad "still an image"
    # what ends inside a sector
    head -c $((3 * 1048576 + 512)) disk >odd
    cp old store
    good "$IMG" convert -n -t none -f raw -O raw odd "$dev"
    cmp -n $((3 * 1048576 + 512)) odd "$dev" || bad "an odd end, sectors of $sector"
    cmp -i $((3 * 1048576 + 512)) old "$dev" || bad "behind an odd end, sectors of $sector"
done

# zeros become holes of what is below the device
cp old store
attach store
good "$IMG" convert -n -f raw -O raw disk "$dev"
sync store
[ "$(stat -c %b store)" -lt $((16 * 2048)) ] || bad "zeros take space: $(stat -c %b store) blocks"

attach -r store
like_reference convert -O raw disk "$dev"
like_reference convert -n -O raw disk "$dev"
if command -v mpirun >/dev/null && ! is_reference; then
    cp old store
    attach store
    good ranks 3 "$IMG" convert -n -f raw -O raw disk "$dev"
    cmp -n $((24 * 1048576)) disk "$dev" || bad "three ranks: other bytes"
fi
finish
