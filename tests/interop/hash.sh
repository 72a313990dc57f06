#!/bin/bash
# The guest hash by others: nbdcopy --blkhash where it is new enough (1.24; NBDCOPY names one), and
# the construction as it is documented, written down once more.
. "$(dirname "$0")/../lib.sh"
need_ours
need_reference
scratch 400
cd "$T"
NBDCOPY=${NBDCOPY:-nbdcopy}
perl -MDigest::SHA -MDigest::MD5 -e 1 2>/dev/null || skip "perl has no Digest::SHA"

# plainly ALGORITHM BLOCK FILE: H( H(block)... length )
plainly() {
    perl -MDigest::SHA -MDigest::MD5 -e '
        my ($name, $size, $file) = @ARGV;
        my $h = sub { my $d = $name eq "md5" ? Digest::MD5->new
            : Digest::SHA->new($name =~ s/sha//r); $d->add($_[0]); $d->digest };
        open(my $f, "<:raw", $file) or die;
        my ($all, $length) = ("", 0);
        while (my $n = read($f, my $block, $size)) { $all .= $h->($block); $length += $n }
        print unpack("H*", $h->($all . pack("Q<", $length))), "\n"' "$@"
}

ours() {
    "$IMG" hash --algorithm "$1" --block-size "$2" -f "$3" "$4" | cut -d' ' -f1
}

has_blkhash=
if "$NBDCOPY" --blkhash -- /dev/null null: >/dev/null 2>&1; then
    has_blkhash=yes
else
    echo "note: $NBDCOPY has no --blkhash, it is not asked"
fi

# alike FILE: by all who can
alike() {
    local algorithm size want
    for algorithm in md5 sha1 sha256 sha512; do
        for size in 512 4096 65536 1048576; do
            want=$(plainly $algorithm $size "$1")
            checked
            [ "$(ours $algorithm $size raw "$1")" = "$want" ] || bad "$1: $algorithm/$size"
            [ -z "$has_blkhash" ] ||
                [ "$("$NBDCOPY" --blkhash=$algorithm/$size -- "$1" null:)" = "$want" ] ||
                bad "$1: $algorithm/$size: nbdcopy has another"
        done
    done
}

: >empty
pattern noise 512 >sector
pattern noise $((1048576 * 3)) >noise
truncate -s 5M hole
truncate -s $((7 * 1048576 + 512 * 5)) mixed
put mixed 100000 text 300000 2
put mixed $((2 * 1048576)) noise 700000 3
put mixed $((7 * 1048576)) noise $((512 * 5)) 4
for file in empty sector noise hole mixed; do
    alike $file
done

# images that others wrote
want=$(plainly sha256 65536 mixed)
for format in qcow2 qcow qed vdi vmdk vhdx parallels; do
    "$REF" convert -q -f raw -O $format mixed image
    checked
    [ "$(ours sha256 65536 $format image)" = "$want" ] || bad "$format by $REF"
done
"$REF" convert -q -f raw -O qcow2 -c mixed image
checked
[ "$(ours sha256 65536 qcow2 image)" = "$want" ] || bad "packed qcow2 by $REF"
if [ -n "$has_blkhash" ] && command -v qemu-nbd >/dev/null; then
    checked
    [ "$("$NBDCOPY" --blkhash -- [ qemu-nbd -r -f qcow2 image ] null:)" = "$want" ] ||
        bad "nbdcopy of an image"
fi

# what a conversion prints is what another reads from its output
for options in "-O raw" "-O qcow2" "-c -O qcow2" "-O vmdk" "-O vhdx"; do
    # shellcheck disable=SC2086  # words
    good "$IMG" convert --hash -f raw $options mixed image
    "$REF" convert -q -O raw image back
    [ "$(cut -d' ' -f1 .out)" = "$(plainly sha256 65536 back)" ] || bad "convert $options"
done
finish
