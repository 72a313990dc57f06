#!/bin/bash
# Encrypted images, both ways: the same words, the same data; a wrong or missing key is refused.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/qcow/common.bash"
need_reference
scratch 300
cd "$T"
materials
secret=(--object "secret,id=s,data=hello")
of="driver=qcow,encrypt.key-secret=s,file.filename"
try "$IMG" create -q -f qcow "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=s image 1M
[ $rc = 0 ] || skip "$(cat "$T/.err")"

# written by the original, bit by bit
create qcow "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=s image 64M
"$REF_IO" "${secret[@]}" --image-opts $of=image -c "write -P 1 64k 8k" -c "write -P 2 100k 512" \
    -c "write -s noise.bin 2M 1M" -c "write -P 3 63M 1M" >/dev/null
create raw base 64M
scribble raw base
create qcow "${secret[@]}" -b base -F raw -o encryption=on,encrypt.key-secret=s over
"$REF_IO" "${secret[@]}" --image-opts $of=over -c "write -P 1 64k 8k" -c "write -P 2 100k 512" \
    >/dev/null
for image in image over; do
    alike info $image
    alike info --output=json $image
    alike map --output=json "${secret[@]}" --image-opts $of=$image
    alike map "${secret[@]}" --image-opts $of=$image
    "$REF" convert -O raw "${secret[@]}" --image-opts $of=$image theirs
    good "$IMG" convert -O raw "${secret[@]}" --image-opts $of=$image ours
    cmp theirs ours || bad "$image: read otherwise"
done

# refused
alike map image
alike check image
alike convert -O raw image out
alike map --image-opts $of=image
alike map "${secret[@]}" --image-opts $of=image,encrypt.foo=1
alike map "${secret[@]}" --image-opts $of=image,encrypt.format=luks
alike map "${secret[@]}" --image-opts $of=image,encrypt.format=aes
create qcow plain 1M
alike map "${secret[@]}" --image-opts $of=plain
alike map "${secret[@]}" --image-opts $of=plain,encrypt.format=aes

# written by us
create raw source $((64 * 1048576 + 3 * 512))
scribble raw source
for options in encrypt.format=aes encryption=on; do
    good "$IMG" convert -f raw -O qcow "${secret[@]}" -o $options,encrypt.key-secret=s source out || continue
    for program in "$REF" "$IMG"; do
        good "$program" compare -q "${secret[@]}" --image-opts driver=raw,file.filename=source $of=out ||
            bad "$options: $program"
    done
    [ "$(be out 36 4)" = 1 ] || bad "$options: not encrypted"
done
# plain text of the source is nowhere in it
! grep -q "line 1 of" out || bad "it can be read without the key"
# the wrong key reads otherwise
try "$IMG" compare -q --object secret,id=s,data=hallo --image-opts driver=raw,file.filename=source $of=out
[ $rc = 1 ] || bad "the wrong key: exit $rc"
alike convert -c "${secret[@]}" -O qcow -o encrypt.format=aes,encrypt.key-secret=s source out
finish
