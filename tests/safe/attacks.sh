#!/bin/bash
# Attacks on image services that have a name, each as it was: what --safe says, and that the file
# which the attacker is after comes into no output. What the gate does without --safe stands here too.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/safe/safe.bash"
need_reference
need_ours
scratch 100
cd "$T"
printf 'the host password' >secret
truncate -s 64k secret

# nothing of the secret in any output, whatever was said
leaks() {
    ! grep -qs 'the host password' out* || bad "$1: the secret is in the output"
    rm -f out*
}

# CVE-2015-5163, and all later ones by a backing file: qemu-img convert reads what it names
backing_file() {
    local name
    for name in "$T/secret" secret ./secret 'json:{"driver":"raw","file":{"filename":"secret"}}' \
        'nbd://127.0.0.1:1/x' file:secret; do
        "$REF" create -q -u -f qcow2 -b "$name" -F raw bad 64k
        refused qcow2.backing-file "$IMG" info --safe -f qcow2 bad
        refused qcow2.backing-file "$IMG" info --safe --backing-chain -f qcow2 bad
        refused qcow2.backing-file "$IMG" convert --safe -f qcow2 -O raw bad out
        MPI_IMG_TRUST_NAMES=1 refused qcow2.backing-file "$IMG" convert --safe -f qcow2 -O raw bad out
        refused qcow2.backing-file "$IMG" compare --safe -f qcow2 -F raw bad secret
        leaks "backing file $name"
    done
    # what the gate says without --safe: names that are more than a path are not followed
    "$REF" create -q -u -f qcow2 -b 'json:{"driver":"raw","file":{"filename":"secret"}}' -F raw bad 64k
    try "$IMG" convert -f qcow2 -O raw bad out
    checked
    [ "$rc" = 1 ] || bad "json: of a backing file is followed"
    leaks "json: as backing file"
}

# CVE-2024-32498: the data file of a qcow2 image is any file of the host; CVE-2024-4467: info does
# as well, with a json: that opens devices and sockets
data_file() {
    "$REF" create -q -f qcow2 -o data_file=secret.copy,data_file_raw=on bad 64k
    # 11 letters: the name in the header becomes another one of the same length
    perl -e 'local $/; open(my $f, "+<", "bad") or die; $_ = <$f>;
        my $at = index($_, "secret.copy"); die if $at < 0; seek($f, $at, 0); print $f "././/secret"'
    passes "$IMG" convert -f qcow2 -O raw bad out # without --safe it works
    cmp -s out secret || bad "the attack is none"
    rm -f out
    refused qcow2.data-file "$IMG" info --safe -f qcow2 bad
    refused qcow2.data-file "$IMG" convert --safe -f qcow2 -O raw bad out
    refused qcow2.data-file "$IMG" check --safe -f qcow2 bad
    refused qcow2.data-file "$IMG" map --safe -f qcow2 bad
    leaks "data file"
    # as raw it is refused too: what probes it later would open the data file
    refused format-single "$IMG" convert --safe -f raw -O raw bad out
    leaks "data file, said to be raw"
    # options and protocols are never taken from there, with --safe or without
    local name='json:{"driver":"file","filename":"secret"}'
    "$REF" create -q -f qcow2 -o "data_file=$(printf 'x%.0s' $(seq ${#name}))" bad 64k
    NAME=$name perl -e 'local $/; open(my $f, "+<", "bad") or die; $_ = <$f>;
        my $at = index($_, "x" x length $ENV{NAME}); die if $at < 0; seek($f, $at, 0); print $f $ENV{NAME}'
    refused qcow2.data-file "$IMG" info --safe -f qcow2 bad
    try "$IMG" convert -f qcow2 -O raw bad out
    checked
    [ "$rc" = 1 ] || bad "json: of a data file is followed"
    leaks "json: as data file"
}

# CVE-2022-47951: extents of a vmdk are any file of the host
vmdk_extents() {
    local type line
    while read -r type line; do
        text_vmdk "$type" "$line" >bad
        refused vmdk.one-file "$IMG" info --safe -f vmdk bad
        refused vmdk.one-file "$IMG" info --safe bad
        refused vmdk.one-file "$IMG" convert --safe -f vmdk -O raw bad out
        refused format-single "$IMG" convert --safe -f raw -O raw bad out
        leaks "vmdk $type"
    done <<END
monolithicFlat RW 128 FLAT "$T/secret" 0
monolithicFlat RW 128 FLAT "secret" 0
twoGbMaxExtentFlat RW 128 FLAT "secret" 0
monolithicSparse RW 128 FLAT "secret" 0
streamOptimized RW 128 FLAT "secret" 0
vmfs RW 128 VMFS "secret"
monolithicFlat RW 128 FLAT "json:{\\"driver\\":\\"raw\\"}" 0
END
    # in the descriptor of a sparse file whose header says that it has no data of its own
    truncate -s 64k empty
    "$IMG" convert -f raw -O vmdk empty bad
    patch_bytes bad 12 0000000000000000
    text_vmdk monolithicFlat 'RW 128 FLAT "secret" 0' | { cat; printf '\0'; } | into bad 512
    refused vmdk.create-type "$IMG" info --safe -f vmdk bad
    refused vmdk.create-type "$IMG" convert --safe -f vmdk -O raw bad out
    leaks "vmdk with a header"
    # the same called a sparse one: the reader does not look at its extents then
    "$IMG" convert -f raw -O vmdk empty bad
    text_vmdk monolithicSparse 'RW 128 FLAT "secret" 0' | { cat; printf '\0'; } | into bad 512
    passes "$IMG" convert --safe -f vmdk -O raw bad out
    leaks "vmdk with a header, called sparse"
}

# CVE-2024-40767: raw that is another format, also behind one that is read rightly
raw_disguise() {
    "$REF" create -q -u -f qcow2 -b "$T/secret" -F raw inner 64k
    cp inner bad
    refused format-single "$IMG" convert --safe -f raw -O raw bad out
    refused format-single "$IMG" convert --safe -f raw -O qcow2 bad out
    refused qcow2.backing-file "$IMG" convert --safe -O raw bad out
    leaks "raw disguise"
    # a guest disk that is itself an image: the output would be that image
    "$IMG" convert -f raw -O qcow2 inner nested
    passes "$IMG" info --safe -f qcow2 nested
    refused format-single "$IMG" convert --safe -f qcow2 -O raw nested out
    leaks "nested"
}

# parents: vhdx and vpc locators, qed
parents() {
    "$REF" create -q -u -f qed -b "$T/secret" -F raw bad 64k
    refused backing-file "$IMG" convert --safe -f qed -O raw bad out
    refused format-named "$IMG" convert --safe -O raw bad out
    "$REF" create -q -u -f qcow -b "$T/secret" bad 64k 2>/dev/null || return 0
    refused backing-file "$IMG" convert --safe -f qcow -O raw bad out
    leaks parents
}

backing_file
data_file
vmdk_extents
raw_disguise
parents
finish
