#!/bin/bash
# One image, two programs: whoever writes keeps the other out, in both directions; -U looks anyway.
. "$(dirname "$0")/../lib.sh"
need_reference
scratch 300
cd "$T"
"$REF" create -q -f qcow2 image 64M
"$REF_IO" -f qcow2 -c "write -P 1 0 1M" image >/dev/null
pattern noise $((32 * 1048576)) >source

# qemu-io holds the image as long as its pipe stands open
hold() { # hold OPTIONS...: opens the image and says so
    rm -f pipe
    mkfifo pipe
    "$REF_IO" "$@" <pipe >held 2>&1 &
    holder=$!
    exec 9>pipe
    echo 'read 0 512' >&9
    for _ in $(seq 100); do
        grep -q 'read 512' held && return
        sleep 0.05
    done
    fail "qemu-io did not open the image: $(cat held)"
}
release() {
    echo quit >&9
    exec 9>&-
    wait $holder || true
}

refused() { # refused TEXT CMD...
    local text=$1
    shift
    try timeout 20 "$@"
    checked
    [ $rc != 0 ] || bad "goes on although the image is in use: $*"
    grep -qF "$text" "$T/.err" || bad "another text: $(cat "$T/.err")"
    grep -qF "Is another process using the image [" "$T/.err" || bad "no hint: $*"
}

hold -f qcow2 image # writing
refused 'Failed to get shared "write" lock' "$IMG" info image
refused 'Failed to get shared "write" lock' "$IMG" convert -O raw image out
[ ! -e out ] || bad "left an output"
refused 'Failed to get shared "write" lock' "$IMG" check image
refused 'Failed to get shared "write" lock' "$IMG" compare image source
refused 'Failed to get shared "write" lock' "$IMG" map image
refused 'Failed to get "write" lock' "$IMG" create -q -f qcow2 image 1M
refused 'lock' "$IMG" convert -f raw -O qcow2 source image
refused 'lock' "$IMG" convert -n -f raw -O qcow2 source image
good "$IMG" info -U image || true
good "$IMG" convert -U -O raw image out || true
good "$IMG" map -U image || true
release
rm -f out

hold -r -f qcow2 image # reading
good "$IMG" info image || true
good "$IMG" convert -O raw image out || true
refused 'Failed to get "write" lock' "$IMG" create -q -f qcow2 image 1M
refused 'lock' "$IMG" convert -f raw -O qcow2 source image
release

"$REF_IO" -r -f qcow2 -c "read -P 1 0 1M" image | grep -q 'read 1048576' || bad "the image has changed"

# and ours keeps the original out: of the source while it is read, of the target while it grows
"$IMG" convert -r 4M -f raw -O qcow2 source target &
ours=$!
sleep 1
checked
"$REF_IO" -f raw -c "write 0 512" source >out 2>&1 || true
grep -q 'Failed to get' out || bad "the original may write to our source: $(cat out)"
for f in target*; do
    "$REF_IO" -f raw -c "write 0 512" "$f" >out 2>&1 || true
    grep -q 'Failed to get' out || bad "the original may write to our $f: $(cat out)"
done
kill $ours 2>/dev/null || true
wait $ours || true

# an image onto itself
cp source same
try "$IMG" convert -f raw -O raw same same
checked
[ $rc = 1 ] && grep -q 'Failed to get "write" lock' "$T/.err" || bad "onto itself: exit $rc: $(cat "$T/.err")"
cmp source same || bad "onto itself: the source is gone"
finish
