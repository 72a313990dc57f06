#!/bin/bash
# Each check of --safe: an image that fails it and nothing else is refused by that name, and read
# without --safe where the image is legal.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/safe/safe.bash"
need_reference
need_ours
scratch 100
cd "$T"
pattern text 200000 >data
truncate -s 1M data
"$IMG" convert -f raw -O qcow2 data plain.qcow2

qcow2_checks() {
    "$REF" create -q -f qcow2 -b plain.qcow2 -F qcow2 overlay.qcow2
    judged qcow2.backing-file "-f qcow2" overlay.qcow2
    "$REF" create -q -f qcow2 -o data_file=other.bin outside.qcow2 1M
    judged qcow2.data-file "-f qcow2" outside.qcow2
    cp plain.qcow2 bad
    patch_bytes bad 4 00000004
    refused qcow2.version "$IMG" info --safe -f qcow2 bad
    "$IMG" convert -f raw -O qcow data old
    refused format-single "$IMG" info --safe -f qcow2 old
    for bits in 0000000000000020 8000000000000000; do
        cp plain.qcow2 bad
        patch_bytes bad 72 $bits
        refused qcow2.unknown-features "$IMG" info --safe -f qcow2 bad
        refused qcow2.unknown-features "$IMG" check --safe -f qcow2 bad
    done
    "$IMG" convert -f raw -O qcow2 -o compat=0.10 data v2.qcow2
    passes "$IMG" info --safe -f qcow2 v2.qcow2
    "$IMG" convert -f raw -O qcow2 -o extended_l2=on data extended.qcow2
    judged qcow2.extended-l2 "" extended.qcow2
    passes "$IMG" info --safe -f qcow2 extended.qcow2
}

# what is not guessed
named_checks() {
    local format
    for format in qcow qed parallels; do
        "$IMG" convert -f raw -O $format data "$format.img"
        judged format-named "" "$format.img"
        passes "$IMG" convert --safe -f $format -O raw "$format.img" out
        cmp -s out data || bad "$format: another content"
        rm -f out
    done
    cp data data.dmg
    refused format-named "$IMG" info --safe data.dmg
    passes "$IMG" info --safe -f raw data.dmg
}

vmdk_checks() {
    "$IMG" convert -f raw -O vmdk data plain.vmdk
    "$IMG" convert -f raw -O vmdk -o subformat=streamOptimized data stream.vmdk
    passes "$IMG" info --safe plain.vmdk
    passes "$IMG" info --safe stream.vmdk
    "$IMG" convert -f raw -O vmdk -o subformat=monolithicFlat data flat.vmdk
    judged vmdk.one-file "-f vmdk" flat.vmdk
    "$IMG" convert -f raw -O vmdk -o subformat=twoGbMaxExtentSparse data split.vmdk
    judged vmdk.one-file "" split.vmdk
    # an extent has a sparse header, but no descriptor
    refused vmdk.descriptor "$IMG" info --safe -f vmdk split-s001.vmdk

    cp plain.vmdk bad && patch_bytes bad 4 04000000
    refused vmdk.version "$IMG" info --safe bad
    cp plain.vmdk bad && patch_bytes bad 28 0200000000000000
    refused vmdk.descriptor "$IMG" info --safe bad
    cp plain.vmdk bad && patch_bytes bad 512 c3a4
    refused vmdk.descriptor "$IMG" info --safe bad
    edit_descriptor 's/^version=1$/exec evil/m'
    refused vmdk.descriptor "$IMG" info --safe bad
    edit_descriptor 's/monolithicSparse/monolithicSparsX/'
    judged vmdk.create-type "" bad
    edit_descriptor 's/createType="monolithicSparse"/"ddb.x=" . "y" x 23/e'
    refused vmdk.create-type "$IMG" info --safe bad
    edit_descriptor 's/^RW /#W /m'
    judged vmdk.extents "" bad
    edit_descriptor 's/^(RW .* SPARSE )"plain.vmdk"/$1"\/etc\/x.img"/m'
    judged vmdk.extents "" bad
}

# edit_descriptor PERL: bad is plain.vmdk with another text of the same length
edit_descriptor() {
    perl -e '
        my ($in, $out, $code) = @ARGV;
        local $/; open(my $f, "<", $in) or die; my $all = <$f>;
        my $text = substr($all, 512, 10240); my $was = length($text);
        $_ = $text; eval $code; die $@ if $@; die "no change: $code" if $_ eq $text;
        die "the length changes: $code" if length($_) != $was;
        substr($all, 512, 10240) = $_; open(my $o, ">", $out) or die; print $o $all' \
        plain.vmdk bad "$1"
}

# the footer: a copy of the header between two markers, at the end of a stream
footer_checks() {
    local size
    size=$(stat -c %s stream.vmdk)
    local marker=$((size - 1536)) footer=$((size - 1024)) last=$((size - 512))
    while read -r at hex; do
        cp stream.vmdk bad
        patch_bytes bad "$at" "$hex"
        refused vmdk.footer "$IMG" info --safe -f vmdk bad
    done <<END
$((marker + 12)) 01000000
$((marker + 8)) 01000000
$((marker + 300)) 01
$footer 00000000
$((footer + 4)) 02000000
$((footer + 28)) 0300000000000000
$((footer + 36)) 0100000000000000
$((footer + 56)) ffffffffffffffff
$last 01
$((last + 400)) 01
END
    head -c 1024 stream.vmdk >bad
    refused vmdk.footer "$IMG" info --safe -f vmdk bad
}

luks_checks() {
    { printf 'LUKS\272\276\0\2'; head -c 1M /dev/zero; } >two.luks
    refused luks.version "$IMG" info --safe -f luks two.luks
    refused format-single "$IMG" info --safe -f raw two.luks
    refused format-single "$IMG" info --safe two.luks
}

# what is opened but has something below it, in any format
parents() {
    "$IMG" convert -f raw -O qed data base.qed
    "$REF" create -q -f qed -b base.qed -F qed overlay.qed
    judged backing-file "-f qed" overlay.qed
    "$REF" create -q -f qcow -b plain.qcow2 -F qcow2 overlay.qcow
    judged backing-file "-f qcow" overlay.qcow
    "$REF" create -q -f vmdk -b plain.vmdk -F vmdk overlay.vmdk
    judged backing-file "-f vmdk" overlay.vmdk
    # one that the command line names is no name found inside
    passes "$IMG" convert --safe -O raw \
        'json:{"driver":"qcow2","file":{"filename":"plain.qcow2"},"backing":null}' out
    rm -f out
}

mismatches() {
    local format
    for format in qcow2 qcow qed vdi vhdx vmdk luks parallels bochs cloop; do
        refused format-match "$IMG" info --safe -f $format data
    done
    refused format-single "$IMG" info --safe -f raw plain.qcow2
    refused format-match "$IMG" compare --safe -f qcow2 -F raw data data
    refused format-single "$IMG" measure --safe -f raw -O qcow2 plain.qcow2
    refused format-single "$IMG" dd --safe -f raw -O raw if=plain.qcow2 of=out
    refused format-single "$IMG" snapshot --safe -l -U --image-opts driver=raw,file.filename=plain.qcow2
    refused format-single "$IMG" hash --safe -f raw plain.qcow2
    refused virtual-size "$IMG" hash --max-size 512k -f qcow2 plain.qcow2
    # CVE-2026-24708: a header that the guest wrote is not believed, and the file stays as it is
    cp plain.qcow2 disk.raw
    refused format-single "$IMG" resize --safe -f raw disk.raw 2M
    cmp -s disk.raw plain.qcow2 || bad "resize has changed what it refused"
}

# info tells a program which check failed
lists() {
    try "$IMG" info --safe --output=json -f qcow2 overlay.qcow2
    checked
    tr -d ' \n' <"$T/.out" >list
    grep -q '^{"filename":"overlay.qcow2","safety":{"passed":false,"checks":\[' list || bad "$(cat list)"
    grep -q '{"check":"qcow2.backing-file","passed":false,"reason":"[^"]*"}' list || bad "$(cat list)"
    grep -q '{"check":"qcow2.data-file","passed":true}' list || bad "$(cat list)"
    try "$IMG" info --safe --output=json -f qcow2 plain.qcow2
    checked
    [ "$rc" = 0 ] || bad "exit $rc"
    tr -d ' \n' <"$T/.out" >list
    grep -q '"safety":{"passed":true,"checks":\[{"check":"format-match","passed":true},' list ||
        bad "$(cat list)"
    # nothing of it without --safe
    "$IMG" info --output=json -f qcow2 plain.qcow2 | grep -q safety && bad "safety without --safe"
    "$IMG" info --safe -f qcow2 plain.qcow2 | grep -q '^    qcow2.data-file: passed$' || bad "no text"
}

qcow2_checks
named_checks
vmdk_checks
footer_checks
luks_checks
parents
mismatches
lists
finish
