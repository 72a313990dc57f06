#!/bin/bash
# Every cipher, mode, IV generator and hash: what we write the original and cryptsetup open, what
# they write we read.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/crypt.bash"
need_reference
scratch 200
cd "$T"
"$IMG" create -q -f luks "${SECRET[@]}" -o key-secret=s probe 1M 2>"$T/.err" || skip "$(cat "$T/.err")"
pattern noise 300000 >source
truncate -s 307200 source

# opens NAME FILE: its key, by cryptsetup where that knows the cipher without the kernel's help.
opens() {
    command -v cryptsetup >/dev/null || return 0
    printf abc | cryptsetup open --test-passphrase -d - "$2" 2>"$T/.cs" && return 0
    grep -qE 'device-mapper|not available|kernel supports|hash md5 is not supported' "$T/.cs" || bad "$1: $(cat "$T/.cs")"
}

write_as() {
    rm -f ours
    good "$IMG" convert "${SECRET[@]}" -f raw -O luks -o "key-secret=s,$1" source ours || return 0
    opens "$1" ours
    # keys of 192 bits in one sector and a half a slot: the original falls over these
    case $1 in *-192,*xts*) ;; *-192,*) equal "$1" "$IMG" luks ours source; return ;; esac
    equal "$1" "$REF" luks ours source
}

hashes=(sha1 sha224 sha256 sha384 sha512 ripemd160 md5)
n=0
for cipher in aes-128 aes-192 aes-256 serpent-128 serpent-192 serpent-256 twofish-128 twofish-256 cast5-128; do
    for mode in xts cbc ctr ecb; do
        [ "$cipher,$mode" != cast5-128,xts ] || continue
        iv=("plain" "plain64" "essiv,ivgen-hash-alg=sha256" "essiv,ivgen-hash-alg=md5")
        [ "$cipher" != cast5-128 ] || iv[2]=plain
        write_as "cipher-alg=$cipher,cipher-mode=$mode,ivgen-alg=${iv[$((n % 4))]},hash-alg=${hashes[$((n % 7))]}"
        n=$((n + 1))
    done
done
for hash in "${hashes[@]}"; do
    write_as "cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,hash-alg=$hash"
done

# theirs
for options in "cipher-alg=aes-256" \
    "cipher-alg=serpent-256,cipher-mode=cbc,ivgen-alg=essiv,hash-alg=sha512" \
    "cipher-alg=twofish-128,ivgen-alg=plain,hash-alg=ripemd160"; do
    retry "$REF" convert "${SECRET[@]}" -f raw -O luks -o "key-secret=s,iter-time=1,$options" source theirs
    equal "their $options" "$IMG" luks theirs source
    rm -f theirs
done

# cryptsetup's, with a second passphrase
if command -v cryptsetup >/dev/null; then
    printf abc >key
    printf other >other
    for kind in "aes-xts-plain64 512 sha256" "aes-cbc-essiv:sha256 256 sha1" "aes-cbc-plain 128 sha512"; do
        read -r cipher bits hash <<<"$kind"
        rm -f theirs
        truncate -s 4M theirs
        cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 -c "$cipher" -s "$bits" \
            -h "$hash" theirs other 2>"$T/.cs" || { echo "note: cryptsetup $kind: $(cat "$T/.cs")"; continue; }
        cryptsetup luksAddKey -q --pbkdf-force-iterations 1000 --key-file other theirs key 2>/dev/null
        "$REF" convert "${SECRET[@]}" --image-opts -O raw "$(of luks theirs)" plain
        equal "cryptsetup $kind" "$IMG" luks theirs plain
    done
    # half a sector at a slot's end, which the original cannot read: the key proves itself
    rm -f theirs
    truncate -s 4M theirs
    if cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 -c aes-cbc-plain -s 192 \
        theirs key 2>/dev/null; then
        good "$IMG" map --output=json "${SECRET[@]}" --image-opts "$(of luks theirs)" || true
    fi
fi
finish
