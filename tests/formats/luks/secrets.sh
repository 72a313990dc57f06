#!/bin/bash
# --object secret in all its forms: as text, base64, from a file, wrapped with another secret; what
# the original says of bad ones.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/crypt.bash"
. "$TESTS/interop/alike.bash"
need_reference
scratch 50
cd "$T"
"$IMG" create -q -f luks "${SECRET[@]}" -o key-secret=s image 1M 2>"$T/.err" || skip "$(cat "$T/.err")"

tries() {
    alike map --output=json "$@" --image-opts "$(of luks image)"
}

printf abc >plain
printf 'abc\n' >line
printf YWJj >base64
printf '\377abc' >binary
: >empty
tries --object secret,id=s,data=abc
tries --object secret,id=s,data=abc,format=raw
tries --object secret,id=s,data=YWJj,format=base64
tries --object '{"qom-type":"secret","id":"s","data":"abc"}'
for file in plain line base64 binary empty none .; do
    tries --object secret,id=s,file=$file
    tries --object secret,id=s,file=$file,format=base64
done
tries --object secret,id=s,data=abc,file=plain
tries --object secret,id=s
tries --object secret,id=s,data=abc,format=hex
tries --object secret,id=s,data='YW*j',format=base64
tries --object secret,id=t,data=abc

# AES-256-CBC under 32 zero bytes, the IV 16 bytes of 'A': made with openssl(1)
master=(--object "secret,id=m,format=base64,data=$(head -c 32 /dev/zero | base64 -w0)")
iv=$(printf 'AAAAAAAAAAAAAAAA' | base64 -w0)
if command -v openssl >/dev/null; then
    wrap() {
        openssl enc -aes-256-cbc "$@" -K "$(printf '0%.0s' {1..64})" -iv "$(printf '41%.0s' {1..16})"
    }
    good=$(printf abc | wrap | base64 -w0)
    tries "${master[@]}" --object "secret,id=s,keyid=m,iv=$iv,format=base64,data=$good"
    tries "${master[@]}" --object "secret,id=s,keyid=m,iv=$iv,data=$good"
    tries "${master[@]}" --object "secret,id=s,keyid=m,format=base64,data=$good"
    tries "${master[@]}" --object "secret,id=s,keyid=x,iv=$iv,format=base64,data=$good"
    tries "${master[@]}" --object "secret,id=s,keyid=m,iv=QUFB,format=base64,data=$good"
    tries "${master[@]}" --object "secret,id=s,keyid=m,iv=@,format=base64,data=$good"
    tries --object secret,id=m,data=short --object "secret,id=s,keyid=m,iv=$iv,format=base64,data=$good"
    printf abc | wrap >wrapped
    tries "${master[@]}" --object "secret,id=s,keyid=m,iv=$iv,file=wrapped"
    for tail in '\x00' '\x0d' '\x10' '\x11' '\xff'; do
        data=$(printf "abcdefghijklmno$tail" | wrap -nopad | base64 -w0)
        tries "${master[@]}" --object "secret,id=s,keyid=m,iv=$iv,format=base64,data=$data"
    done
else
    echo "note: no openssl, wrapped secrets are not tried"
fi
tries "${master[@]}" --object "secret,id=s,keyid=m,iv=$iv,format=base64,data=YWJj"
tries "${master[@]}" --object "secret,id=s,keyid=m,iv=$iv,format=base64,data="
finish
