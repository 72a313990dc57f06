#!/bin/bash
# Encrypted qcow2, LUKS and the AES of old: written and read both ways, with each layout; the words
# of info, map, check, measure and of what is refused.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/crypt.bash"
. "$TESTS/interop/alike.bash"
need_reference
scratch 400
cd "$T"
key=encrypt.key-secret=s
"$IMG" create -q -f qcow2 "${SECRET[@]}" -o $key,encrypt.format=aes probe 1M 2>"$T/.err" || skip "$(cat "$T/.err")"
truncate -s 12M source
put source 0 noise 300000
put source 1000000 text 70000 2
put source 5242880 zero 131072
put source $((12 * 1048576 - 1000)) noise 1000 3

says() {
    local image=$1
    alike info "$image"
    alike info --output=json "$image"
    alike map --output=json "${SECRET[@]}" --image-opts "$(of qcow2 "$image")"
    alike map "${SECRET[@]}" --image-opts "$(of qcow2 "$image")"
    alike check "${SECRET[@]}" --image-opts "$(of qcow2 "$image")"
    alike check --output=json "${SECRET[@]}" --image-opts "$(of qcow2 "$image")"
    alike measure -O qcow2 "${SECRET[@]}" --image-opts "$(of qcow2 "$image")"
}

# clean NAME IMAGE: without leaks or errors, by the original
clean() {
    checked
    "$REF" check -q "${SECRET[@]}" --image-opts "$(of qcow2 "$2")" >"$T/.check" 2>&1 ||
        bad "$1: $(head -n 3 "$T/.check")"
}

write_as() {
    rm -f ours data
    good "$IMG" convert "${SECRET[@]}" -f raw -O qcow2 -o "$key,$1" source ours || return 0
    equal "$1" "$REF" qcow2 ours source
    clean "$1" ours
    says ours
}

for method in aes luks; do
    for options in "" ,cluster_size=512 ,cluster_size=2M ,compat=0.10 ,extended_l2=on ,refcount_bits=1 \
        ,preallocation=metadata ,preallocation=full ,preallocation=metadata,compat=0.10 \
        ,preallocation=falloc,extended_l2=on ,data_file=data; do
        write_as "encrypt.format=$method$options"
    done
done
write_as encryption=on
write_as encrypt.format=luks,encrypt.cipher-alg=cast5-128,encrypt.cipher-mode=cbc,cluster_size=4k
write_as encrypt.format=luks,encrypt.cipher-alg=serpent-256,encrypt.ivgen-alg=plain,encrypt.hash-alg=sha512

# a refcount table that moves, with the LUKS header in small clusters before it
rm -f ours
good "$IMG" create -q -f qcow2 "${SECRET[@]}" \
    -o $key,encrypt.format=luks,cluster_size=512,refcount_bits=64,preallocation=metadata ours 24M
clean "many refcounts" ours

# theirs, with writes all over
for options in encrypt.format=aes encrypt.format=aes,compat=0.10 \
    encrypt.format=luks,encrypt.iter-time=1,cluster_size=4k encrypt.format=luks,encrypt.iter-time=1,extended_l2=on; do
    rm -f theirs
    retry "$REF" create -q -f qcow2 "${SECRET[@]}" -o $key,$options theirs 12M
    "$REF_IO" "${SECRET[@]}" --image-opts -c "write -P 1 8M 100k" -c "write -P 2 1M 64k" \
        -c "write -P 3 5000192 512" -c "write -P 4 0 3000k" -c "write -z 1M 128k" \
        "$(of qcow2 theirs)" >/dev/null
    "$REF" convert "${SECRET[@]}" --image-opts -O raw "$(of qcow2 theirs)" plain
    equal "their $options" "$IMG" qcow2 theirs plain
    says theirs
    good "$IMG" convert "${SECRET[@]}" --image-opts -O raw "$(of qcow2 theirs)" out
    checked
    cmp plain out || bad "their $options: converted otherwise"
done
"$REF" snapshot -c s1 theirs 2>/dev/null || true

# an overlay on an encrypted image, encrypted itself with another key
two=("${SECRET[@]}" --object secret,id=t,data=other)
good "$IMG" convert "${SECRET[@]}" -f raw -O qcow2 -o $key,encrypt.format=luks source base
"$REF" create -q -f qcow2 "${two[@]}" -o encrypt.format=aes,encrypt.key-secret=t -u -b base -F qcow2 over 12M
chain=driver=qcow2,encrypt.key-secret=t,file.filename=over,backing.driver=qcow2,backing.file.filename=base,backing.encrypt.key-secret=s
"$REF_IO" "${two[@]}" --image-opts -c "write -P 7 100k 900k" "$chain" >/dev/null
"$REF" convert "${two[@]}" --image-opts -O raw "$chain" plain
good "$IMG" convert "${two[@]}" --image-opts -O raw "$chain" out
checked
cmp plain out || bad "a chain of two keys reads otherwise"
alike map --output=json "${two[@]}" --image-opts "$chain"

# what is refused
image=base
alike info --image-opts "driver=qcow2,file.filename=$image,encrypt.format=aes"
alike info --image-opts "driver=qcow2,file.filename=$image,encrypt.foo=x"
alike info --image-opts "driver=qcow2,file.filename=$image,encrypt.format=luks"
alike info "${SECRET[@]}" --image-opts "$(of qcow2 $image)"
for sub in check map "compare base" "measure -O raw"; do
    # shellcheck disable=SC2086  # words
    alike $sub $image
done
alike map --object secret,id=s,data=bad --image-opts "$(of qcow2 $image)"
alike map --image-opts "$(of qcow2 $image)"
for options in encryption=on encrypt.format=aes encrypt.format=luks encrypt.format=foo \
    encryption=on,encrypt.format=luks,$key encryption=off,$key $key \
    encrypt.format=aes,$key,encrypt.cipher-alg=aes-256 encryption=on,$key,encrypt.iter-time=10 \
    encrypt.format=aes,encrypt.key-secret=zz encrypt.format=luks,encrypt.cipher-alg=foo \
    encrypt.format=luks,$key,encrypt.hash-alg=foo encrypt.format=luks,$key,encrypt.cipher-alg=3des \
    encrypt.format=luks,$key,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha1; do
    rm -f out
    alike create -f qcow2 "${SECRET[@]}" -o "$options" out 1M
done
for options in encryption=on,$key encrypt.format=luks,$key encryption=off; do
    rm -f out
    alike convert -c -O qcow2 -f raw "${SECRET[@]}" -o "$options" source out
done
for options in encrypt.format=luks encrypt.format=aes,$key encrypt.format=foo encryption=on; do
    alike measure -O qcow2 "${SECRET[@]}" -o $options --size 64M
done
for cluster in 512 2M; do
    retry "$REF" measure -O qcow2 "${SECRET[@]}" \
        -o $key,encrypt.format=luks,encrypt.iter-time=1,cluster_size=$cluster --size 64M >theirs.out
    good "$IMG" measure -O qcow2 "${SECRET[@]}" -o $key,encrypt.format=luks,cluster_size=$cluster --size 64M
    diff -u theirs.out "$T/.out" || bad "measure with clusters of $cluster"
done
finish
