#!/bin/bash
# Passphrases added and erased by amend: cryptsetup and the original open what should open, and
# nothing else; an erased slot's material is gone; a stop at any write locks nobody out.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/fault/sweep.bash"
need_reference
need_ours
need cryptsetup
scratch 100
mkdir "$T/work"
cd "$T/work"
export MPI_IMG_SEED=1 # few iterations
objects=()
for word in one two three wrong; do
    printf %s "$word" >"$T/$word"
    objects+=(--object "secret,id=$word,file=$T/$word")
done

# amend KEY OPTION...: of `image`, opened with KEY
amend() {
    local key=$1
    shift
    good "$IMG" amend "${objects[@]}" --image-opts "$@" \
        "driver=luks,file.filename=image,key-secret=$key"
}

# By cryptsetup; by the original where the kernel has not the cipher.
opens() {
    if [ "$judge" = cryptsetup ]; then
        cryptsetup open --test-passphrase --type luks1 --key-file "$T/$1" ${2:+--key-slot "$2"} image 2>/dev/null
    else
        "$REF_IO" -r "${objects[@]}" --image-opts "driver=luks,file.filename=image,key-secret=$1" -c quit >/dev/null 2>&1
    fi
}

# shows WHAT YES... -- NO...: which passphrases open it
shows() {
    local what=$1 word should=0
    shift
    for word; do
        [ "$word" != -- ] || { should=1; continue; }
        checked
        rc=0
        opens "$word" || rc=1
        [ $rc = $should ] || bad "$what: $judge: '$word' $([ $rc = 0 ] && echo opens || echo does not open)"
    done
    [ "$(content)" = "$data" ] || bad "$what: reads otherwise"
}

# content: hash of the guest's bytes, by the original, with the first passphrase that opens
content() {
    local word
    for word in one two three; do
        if "$REF" convert "${objects[@]}" --image-opts "driver=luks,file.filename=image,key-secret=$word" \
            -O raw "$T/shown" 2>/dev/null; then
            hash_of "$T/shown"
            return
        fi
    done
    echo locked
}

# material SLOT: hash of the bytes where its key is
material() {
    dd if=image bs=512 skip="$(be image $((208 + 48 * $1 + 40)) 4)" count=500 status=none | sha256sum
}

pattern noise 1000000 >"$T/raw"
convert() {
    rm -f image
    good "$IMG" convert "${objects[@]}" -f raw -O luks -o "key-secret=one,iter-time=10$1" "$T/raw" image
    data=$(content)
    judge=cryptsetup
    opens one || judge=$REF
}

for cipher in '' ,cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256 \
    ,cipher-alg=serpent-256 ,hash-alg=sha1 ,cipher-alg=twofish-128,hash-alg=sha512; do
    convert "$cipher"
    shows "new$cipher" one -- two three
    amend one -o state=active,new-secret=two,iter-time=10
    shows "added$cipher" one two -- three
    was=$(material 0)
    amend two -o state=inactive,old-secret=one
    shows "erased$cipher" two -- one three
    checked
    [ "$(material 0)" != "$was" ] || bad "erased$cipher: the key is still there"
    amend two --force -o state=active,new-secret=three,keyslot=1,iter-time=10
    shows "written over$cipher" three -- one two
    [ "$(be image 208 4)" = $((0xdead)) ] || bad "written over$cipher: the spare slot is in use"
    amend three -o state=active,new-secret=one,keyslot=7,iter-time=10
    opens one 7 || bad "slot 7$cipher does not open"
    shows "last slot$cipher" one three -- two
done

# what cryptsetup adds, we erase, and the other way round
convert ''
[ "$judge" = cryptsetup ] || skip "cryptsetup cannot open anything here"
cryptsetup luksAddKey --batch-mode --pbkdf-force-iterations 1000 --key-file "$T/one" image "$T/two" 2>/dev/null ||
    bad "cryptsetup cannot add a key"
shows "cryptsetup's" one two -- three
amend one -o state=inactive,old-secret=two
shows "cryptsetup's, erased" one -- two three
amend one -o state=active,new-secret=three,iter-time=10
cryptsetup luksRemoveKey --batch-mode image "$T/three" 2>/dev/null || bad "cryptsetup cannot remove ours"
shows "ours, erased" one -- two three

# sweep NAME OPENS OPTIONS ALWAYS...: at each write and each sync that fails
sweep() {
    local name=$1 key=$2 options=$3 kind n total word
    shift 3
    cp image "$T/before"
    for kind in write sync; do
        cp "$T/before" image
        total=$(count_calls $kind "$IMG" amend "${objects[@]}" --image-opts --force -o "$options" \
            "driver=luks,file.filename=image,key-secret=$key")
        [ "$total" -gt 1 ] || bad "$name: no $kind"
        for n in $(seq "$total"); do
            checked
            cp "$T/before" image
            with_fault "$kind:$n:$EIO" "$IMG" amend "${objects[@]}" --image-opts --force -o "$options" \
                "driver=luks,file.filename=image,key-secret=$key"
            fired || bad "$name, $kind $n: was not stopped"
            [ $rc = 1 ] || bad "$name, $kind $n: exit $rc"
            [ "$(content)" = "$data" ] || bad "$name, $kind $n: locked out"
            for word; do
                opens "$word" || bad "$name, $kind $n: '$word' does not open"
            done
        done
    done
    cp "$T/before" image
}

sweep add one state=active,new-secret=two one
sweep replace one state=active,new-secret=two,keyslot=0
amend one -o state=active,new-secret=two,iter-time=10
sweep erase two state=inactive,old-secret=one two
finish
