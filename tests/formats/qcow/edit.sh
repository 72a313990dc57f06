# Images changed in place, by turns with the original.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../../lib.sh"
# shellcheck source=tests/formats/edit.bash
. "$(dirname "$0")/../edit.bash"
need_reference
need_ours # the original writes zeros where it could leave holes; it is not what is tested
scratch 200
cd "$T"

storm qcow
over_base qcow

# Compressed clusters become plain ones where they are written to.
truncate -s 0 model
truncate -s $EDIT_SIZE model
put model 0 text 3000000
good "$IMG" convert -c -f raw -O qcow model image
agrees "compressed" qcow
turns "compressed" qcow

# A commit leaves an image with nothing in it, as long as a new one.
"$REF" create -q -f qcow -b base -F raw fresh
"$REF" create -q -f qcow -b base -F raw image
"$REF_IO" -f qcow -c 'write -P 5 1M 100k' image >/dev/null
good "$IMG" commit -q -f qcow image
checked
[ "$(stat -c %s image)" -le "$(stat -c %s fresh)" ] || bad "$(stat -c %s image) bytes are left"

# The same of an image that we made.
good "$IMG" create -q -f qcow -b base -F raw image
"$REF_IO" -f qcow -c 'write -P 6 1M 100k' image >/dev/null
good "$IMG" commit -q -f qcow image
cp base model
agrees "emptied" qcow
# Encrypted: what is written reads as it should to who has the key.
secret=(--object "secret,id=s,data=hello")
of="driver=qcow,encrypt.key-secret=s,file.filename"
"$REF" create -q -f qcow "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=s image $EDIT_SIZE
rm -f model
truncate -s $EDIT_SIZE model
for round in 1 2; do
    put model $((round * 500000 - 77)) noise 400001 $round
    put model 2000000 zero $((round * 70000))
    good "$IMG" convert -n "${secret[@]}" --target-image-opts model $of=image
    "$REF_IO" "${secret[@]}" --image-opts $of=image -c "write -P $round 1900k 300k" \
        -c "write -P 3$round 5M 1k" >/dev/null
    "$REF_IO" -f raw -c "write -P $round 1900k 300k" -c "write -P 3$round 5M 1k" model >/dev/null
    for tool in "$REF" "$IMG"; do
        good "$tool" convert "${secret[@]}" --image-opts -O raw $of=image out
        cmp -s model out || bad "encrypted, round $round: $tool reads something else"
    done
done
finish
