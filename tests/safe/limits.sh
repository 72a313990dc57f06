#!/bin/bash
# Image services give info 1 GiB of address space and 2 s of CPU. Whatever a header claims, and
# however large an image is, that suffices: a refusal in one line, never a signal, never memory.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/subformats.bash"
. "$TESTS/safe/safe.bash"
need prlimit
need_ours
scratch 300
cd "$T"
LIMITS=(prlimit --as=$((1 << 30)) --cpu=2 --core=0)
ldd "$IMG" 2>/dev/null | grep -q libasan && skip "a build with sanitizers needs more address space"

# bounded NAME ARGS...: exit 0 without a word on stderr, or exit 1 (check: 2, 3) with one line
bounded() {
    local name=$1
    shift
    rc=0
    "${LIMITS[@]}" "$IMG" "$@" >.out 2>.err </dev/null || rc=$?
    checked
    case $rc in
    0) [ ! -s .err ] || bad "$name: words: $*: $(head -n 2 .err)" ;;
    1) [ "$(wc -l <.err)" = 1 ] || bad "$name: not one line: $*: $(head -n 3 .err)" ;;
    *) bad "$name: exit $rc: $*: $(head -n 2 .err)" ;;
    esac
    ! grep -q 'Cannot allocate' .err || bad "$name: memory: $*: $(cat .err)"
}

# each four bytes of the first 128, and some after that, as large as they get
hostile() {
    { head -c 4096 /dev/zero; pattern text 60000; } >data
    local name format opts at value as
    while read -r name format opts; do
        case $name in *-split* | *-flat | *-fixed | *-static | raw) continue ;; esac
        # shellcheck disable=SC2086  # words
        "$IMG" convert -f raw -O "$format" $opts data good
        for at in {0..108..4} 168 216 400 508 512 1024 1032 1040 1044 1048 1052 4096 65536 196616 \
            262152; do
            [ "$at" -lt "$(stat -c %s good)" ] || continue
            for value in ffffffff 7fffffff 00000010; do
                cp good bad
                patch_bytes bad "$at" $value
                bounded "$name, byte $at: $value" info --safe -f "$format" bad
            done
        done
    done < <(subformats)
}

# what was found to go wrong once, as files: lists of what is not zero are unpacked
samples() {
    local sample format
    for sample in "$TESTS"/fuzz/samples/*/*; do
        format=$(basename "$(dirname "$sample")")
        perl -e '
            local $/; open(my $f, "<", $ARGV[0]) or die; my $b = <$f>;
            open(my $o, ">", $ARGV[1]) or die;
            if (substr($b, 0, 8) ne "sparse:\n") { print $o $b; exit }
            my $size = unpack("Q<", substr($b, 8, 8)); $size = 1 << 24 if $size > 1 << 24;
            my $at = 16; truncate($o, $size);
            while ($at + 12 < length($b)) {
                my ($to, $n) = unpack("Q<L<", substr($b, $at, 12)); my $s = substr($b, $at + 12, $n);
                if ($to < 1 << 24) { seek($o, $to, 0); print $o $s } $at += 12 + length($s) }' \
            "$sample" bad
        bounded "$sample" info --safe -f "$format" bad
        bounded "$sample" info -f "$format" bad
        bounded "$sample" measure --safe -f "$format" -O qcow2 bad
        bounded "$sample" map --safe --output=json -f "$format" bad
        truncate -s 1M to
        # what it says of data that is broken may be more than a line
        rc=0
        "${LIMITS[@]}" "$IMG" convert --safe --max-size 64G -n -f "$format" -O raw bad null-co:// \
            >.out 2>.err </dev/null || rc=$?
        checked
        [ $rc -le 1 ] || bad "$sample: convert: exit $rc: $(head -n 2 .err)"
        rc=0
        "${LIMITS[@]}" "$IMG" check --safe -f "$format" bad >.out 2>.err </dev/null || rc=$?
        checked
        case $rc in 0 | 1 | 2 | 3 | 63) ;; *) bad "$sample: check: exit $rc: $(head -n 2 .err)" ;; esac
    done
}

large() {
    local name format size opts
    while read -r name format size opts; do
        rm -f big
        # shellcheck disable=SC2086  # words
        try "$IMG" create -q -f "$format" $opts big "$size"
        [ $rc = 0 ] || { bad "$name: $(cat "$T/.err")"; continue; }
        bounded "$name" info --safe --output=json -f "$format" big
        [ $rc = 0 ] || bad "$name: $(cat .err)"
        bounded "$name" map --safe --output=json -f "$format" big
        [ $rc = 0 ] || bad "$name: $(cat .err)"
        bounded "$name" info --safe --max-size 1G -f "$format" big
        [ $rc = 1 ] || bad "$name: not too large"
    done <<'END'
qcow2 qcow2 2P -o cluster_size=2M
qcow2-small qcow2 128G -o cluster_size=512,refcount_bits=64
qcow2-tables qcow2 256G -o preallocation=metadata
qcow2-extended qcow2 1T -o extended_l2=on
qcow qcow 8T
qed qed 60T
vdi vdi 16T
vpc vpc 2040G
vhdx vhdx 64T
vmdk vmdk 2T
parallels parallels 2T
END
    rm -f big
}

# Without --safe an image may be many files: their directories are not all held at once.
directories() {
    local i
    perl -e 'print "KDMV", pack("VVQ<Q<Q<Q<VQ<Q<Q<C", 1, 1, 1 << 33, 1, 0, 0, 512, 0, 21, 1 << 20, 0),
        "\n \r\n"' >extent.vmdk
    truncate -s 100G extent.vmdk || return 0
    {
        text_vmdk twoGbMaxExtentSparse | grep -v "^ddb"
        for i in {1..16}; do echo 'RW 8589934592 SPARSE "extent.vmdk"'; done
    } >many.vmdk
    LIMITS=(prlimit --as=$((1 << 30)) --cpu=30 --core=0)
    bounded "16 directories of 64 MiB" info -f vmdk many.vmdk
    [ $rc = 0 ] || bad "$(cat .err)"
}

hostile
samples
large
directories
finish
