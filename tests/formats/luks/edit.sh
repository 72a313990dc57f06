#!/bin/bash
# Encrypted images that are there, changed in turns by us and by the original: luks, and qcow2 with
# either encryption. Each reads what the other wrote; a wrong passphrase changes nothing.
. "$(dirname "$0")/../../lib.sh"
# its overlays name encrypted images by their options, on purpose
export MPI_IMG_TRUST_NAMES=1
. "$TESTS/formats/crypt.bash"
need_reference
scratch 300
cd "$T"
SIZE=20000256
for source in one two; do
    truncate -s $SIZE $source
done
put one 0 noise 3000000 1
put one 19900000 noise 100256 3
put two 2000000 noise 9000000 4
put two 15500000 text 70000 5

# both_write DRIVER WRITE...: by the original, here and in `now`
both_write() {
    local driver=$1 words=() write
    shift
    for write; do
        words+=(-c "$write")
    done
    "$REF_IO" "${SECRET[@]}" --image-opts "${words[@]}" "$(of "$driver" t)" >/dev/null
    "$REF_IO" -f raw "${words[@]}" now >/dev/null
}

# turns DRIVER NAME: of image t, which reads as zeros or as noise
turns() {
    good "$IMG" convert "${SECRET[@]}" -n -f raw --target-image-opts one "$(of "$1" t)"
    cp one now
    equal "$2, once" "$REF" "$1" t now
    equal "$2, once" "$IMG" "$1" t now
    both_write "$1" "write -P 8 13000000 70000" "write -P 9 15M 1M" "write -z 16M 64k" "write -P 7 100 3"
    equal "$2, with writes of the original" "$IMG" "$1" t now
    good "$IMG" convert "${SECRET[@]}" -n -f raw --target-image-opts two "$(of "$1" t)"
    cp two now
    equal "$2, twice" "$REF" "$1" t now
    [ "$1" = luks ] || good "$REF" check -q "${SECRET[@]}" --image-opts "$(of "$1" t)"
}

# create PROGRAM DRIVER OPTIONS
create() {
    rm -f t
    retry "$1" create -q -f "$2" "${SECRET[@]}" -o "$3" t $SIZE
}

create "$IMG" luks key-secret=s 2>/dev/null || skip "$(cat "$T/.retry")"
# the original takes two seconds to make one of luks
for maker in "$REF" "$IMG"; do
    create "$maker" luks key-secret=s,iter-time=10
    turns luks "luks"
    create "$maker" qcow2 encrypt.key-secret=s,encrypt.format=aes
    turns qcow2 "qcow2, aes"
done
create "$IMG" luks key-secret=s,iter-time=10,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256
turns luks "luks, cbc"
create "$REF" qcow2 encrypt.key-secret=s,encrypt.format=luks,encrypt.iter-time=10
turns qcow2 "qcow2, luks"
for options in format=luks,encrypt.iter-time=10,extended_l2=on format=luks,encrypt.iter-time=10,cluster_size=512 \
    format=aes,encrypt.key-secret=s,cluster_size=4k,compat=0.10; do
    create "$IMG" qcow2 "encrypt.key-secret=s,encrypt.$options"
    turns qcow2 "qcow2, $options"
done

# a commit into luks, of which the overlay knows the key
create "$IMG" luks key-secret=s,iter-time=10
good "$IMG" convert "${SECRET[@]}" -n -f raw --target-image-opts one "$(of luks t)"
"$REF" create -q -f qcow2 "${SECRET[@]}" -b 'json:{"driver":"luks","key-secret":"s","file":{"driver":"file","filename":"t"}}' \
    -F luks top $SIZE
both=(-c "write -P 3 100 1000" -c "write -P 4 3M 1M" -c "write -z 19M 64k")
"$REF_IO" "${SECRET[@]}" "${both[@]}" -f qcow2 top >/dev/null
cp one now && "$REF_IO" -f raw "${both[@]}" now >/dev/null
good "$IMG" commit -q "${SECRET[@]}" top
equal "commit" "$REF" luks t now

# resize SIZE [OPTION...]: the same words, exit code and length by both
resize() {
    local words
    cp t theirs && cp t ours
    try "$REF" resize "${SECRET[@]}" "${@:2}" --image-opts "$(of luks theirs)" "$1"
    words="$rc $(sed 's/^qemu-img: //' "$T/.out" "$T/.err") $(stat -c %s theirs)"
    try "$IMG" resize "${SECRET[@]}" "${@:2}" --image-opts "$(of luks ours)" "$1"
    checked
    [ "$words" = "$rc $(sed 's/^[a-z-]*-img: //' "$T/.out" "$T/.err") $(stat -c %s ours)" ] ||
        bad "resize $*: $(cat "$T/.out" "$T/.err") instead of $words"
}

resize 30M
resize +1M
resize -1M
resize 5M --shrink
resize 12345678
resize 30M --preallocation=metadata
resize 30M --preallocation=falloc
resize 30M --preallocation=full
resize 1M --shrink --preallocation=full
resize 9223372036854775296
resize 9223372035781032960
"$REF" convert "${SECRET[@]}" --image-opts -O raw "$(of luks t)" now
good "$IMG" resize -q "${SECRET[@]}" --shrink --image-opts "$(of luks t)" 3M
truncate -s 3M now
equal "made shorter" "$REF" luks t now

# the wrong key
cp t before
try "$IMG" convert --object secret,id=s,data=wrong -n -f raw --target-image-opts one "$(of luks t)"
checked
[ $rc = 1 ] || bad "the wrong key: exit $rc"
cmp t before || bad "the wrong key changed the image"
finish
