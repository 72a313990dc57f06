#!/bin/bash
# info, map, measure, create and what is refused: the original's words, in JSON and for people.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/crypt.bash"
. "$TESTS/interop/alike.bash"
need_reference
scratch 200
cd "$T"
pattern noise 100000 >source
truncate -s 1M source
"$IMG" convert "${SECRET[@]}" -f raw -O luks -o key-secret=s source image 2>"$T/.err" || skip "$(cat "$T/.err")"
"$IMG" convert "${SECRET[@]}" -f raw -O luks \
    -o key-secret=s,cipher-mode=cbc,ivgen-alg=essiv,hash-alg=sha1 source essiv
cp image short
truncate -s -1000 short
bad_secret=(--object "secret,id=s,data=bad")

for image in image essiv short; do
    alike info "$image"
    alike info --output=json "$image"
    alike info -f luks "$image"
    alike info "${SECRET[@]}" --image-opts "$(of luks $image)"
    alike map --output=json "${SECRET[@]}" --image-opts "$(of luks $image)"
    alike map "${SECRET[@]}" --image-opts "$(of luks $image)"
    alike compare "${SECRET[@]}" --image-opts "$(of luks $image)" driver=raw,file.filename=source
    alike measure -O qcow2 "${SECRET[@]}" --image-opts "$(of luks $image)"
    alike measure -O raw "${SECRET[@]}" --image-opts "$(of luks $image)"
    alike check "${SECRET[@]}" --image-opts "$(of luks $image)"
done

# without the key, with another, with none of that name
for sub in map "convert -O raw" "measure -O raw" check; do
    # shellcheck disable=SC2086  # words
    {
        alike $sub image $([ "${sub%% *}" != convert ] || echo out)
        alike $sub "${bad_secret[@]}" --image-opts "$(of luks image)" $([ "${sub%% *}" != convert ] || echo out)
        alike $sub --image-opts "$(of luks image)" $([ "${sub%% *}" != convert ] || echo out)
        alike $sub --image-opts "driver=luks,file.filename=image" $([ "${sub%% *}" != convert ] || echo out)
    }
done
alike compare image image
alike info -f luks source
alike info --image-opts driver=luks,file.filename=image,foo=bar

# create: what is said of options
alike create -f luks -o help
alike create -f luks -o help out
for options in cipher-alg=foo cipher-mode=foo ivgen-alg=foo ivgen-hash-alg=foo hash-alg=foo \
    cipher-alg=3des cipher-alg=des cipher-alg=cast5-128 ivgen-alg=essiv,ivgen-hash-alg=sha1 \
    cipher-alg=serpent-128,ivgen-alg=essiv,ivgen-hash-alg=sha384 iter-time=x \
    preallocation=foo key-secret=t cipher-alg=foo,key-secret=t foo=bar; do
    rm -f out
    alike create -f luks "${SECRET[@]}" -o "key-secret=s,$options" out 1M
done
alike create -f luks out 1M
alike create -f luks -o cipher-alg=foo out 1M
alike create -f luks -o key-secret=s out 1M
alike create -f luks "${SECRET[@]}" -o key-secret=s out
alike create -f luks "${SECRET[@]}" -o key-secret=s -b image -F luks out
alike convert -O luks -f raw source out
alike convert -O luks -f raw -o key-secret=s source out
alike convert -c -O luks -f raw "${SECRET[@]}" -o key-secret=s source out

# the original hashes a second or two for each
for args in "--size 1001" "--output=json -f raw source"; do
    # shellcheck disable=SC2086  # words
    retry "$REF" measure -O luks "${SECRET[@]}" -o key-secret=s,iter-time=1 $args >theirs
    # shellcheck disable=SC2086
    good "$IMG" measure -O luks "${SECRET[@]}" -o key-secret=s,iter-time=1 $args
    diff -u theirs "$T/.out" || bad "measure $args"
done
alike measure -O luks --size 1M
alike measure -O luks -o key-secret=s,cipher-mode=foo --size 1M
finish
