#!/bin/bash
# Files that are two things at once: whoever reads them next may take them for the other one.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/safe/safe.bash"
need_ours
scratch 100
cd "$T"
{ head -c 1024 /dev/zero; pattern text 200000; } >data
truncate -s 1M data
for format in qcow2 vdi vhdx vpc vmdk luks; do
    opts=()
    [ $format != luks ] || opts=(--object secret,id=key,data=x -o key-secret=key,iter-time=10)
    "$IMG" convert "${opts[@]}" -f raw -O $format data img.$format
done

hex_of() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }

# partition FILE ENTRY HEX: 16 bytes; mark FILE: the signature of a boot sector
partition() { patch_bytes "$1" $((446 + $2 * 16)) "$3"; }
mark() { patch_bytes "$1" 510 55aa; }
iso() { printf '\001CD001\001' | into "$1" 32768; }
LINUX=80000201830101010100000000080000 PROTECT=00000200ee01010101000000ff070000

mbr() {
    cp data disk && mark disk && partition disk 0 $LINUX
    passes "$IMG" info --safe disk
    passes "$IMG" convert --safe -f raw -O qcow2 disk disk.qcow2
    cp data bad && mark bad
    judged raw.partition-table "-f raw" bad # no partition at all
    cp disk bad && partition bad 2 7f000201830101010100000000080000
    judged raw.partition-table "" bad
    cp data gpt && mark gpt && partition gpt 0 $PROTECT
    passes "$IMG" info --safe gpt
    cp gpt bad && partition bad 1 $LINUX
    judged raw.partition-table "-f raw" bad
    cp data bad && mark bad && partition bad 0 00000200ee01010102000000ff070000
    judged raw.partition-table "-f raw" bad # begins at LBA 2
    cp data bad && mark bad && partition bad 0 00000100ee01010101000000ff070000
    judged raw.partition-table "-f raw" bad # begins at CHS 0/0/1
    # a FAT file system begins with a boot sector of its own, without partitions
    cp data fat && mark fat && patch_bytes fat 16 02 && patch_bytes fat 21 f8
    passes "$IMG" info --safe fat
}

cds() {
    cp data cd && iso cd
    passes "$IMG" info --safe cd
    # one that starts from a stick too has a partition table of whatever sort
    mark cd && partition cd 1 7f000201830101010100000000080000
    passes "$IMG" info --safe -f raw cd
    cp data udf && printf '\000NSR03\001' | into udf 32768
    passes "$IMG" info --safe udf
}

# an image in whose header, or between whose tables, something else is found
in_images() {
    local format
    for format in qcow2 vdi vhdx vpc vmdk; do
        cp img.$format bad && mark bad
        refused format-single "$IMG" info --safe -f $format bad
        refused format-single "$IMG" info --safe bad
        cp img.$format bad && iso bad
        refused format-single "$IMG" info --safe -f $format bad
    done
    # vdi is known by a word in the middle of its first sector, the others by their first bytes
    for format in qcow2 luks; do
        cp img.$format bad && patch_bytes bad 64 7f10dabe
        refused format-single "$IMG" info --safe -f $format bad
        refused format-single "$IMG" info --safe -f vdi bad
        refused format-single "$IMG" info --safe bad
    done
    cp img.vdi bad && printf 'QFI\373\0\0\0\3' | into bad 0
    refused format-single "$IMG" info --safe -f vdi bad
    refused format-single "$IMG" convert --safe -f vdi -O raw bad out
}

# said to be raw, and is not (CVE-2024-40767): every signature
as_raw() {
    local hex
    for hex in 514649fb00000001 514649fb00000002 514649fb00000003 514649fb000000ff 51454400 \
        4b444d56 434f5744 7668647866696c65 636f6e6563746978 4c554b53babe0001 4c554b53babe0002 \
        "$(hex_of WithoutFreeSpace)" "$(hex_of WithouFreSpacExt)" "$(hex_of "Bochs Virtual HD Image")" \
        23212f62696e2f73680a2356322e3020466f726d61740a; do
        cp data bad && patch_bytes bad 0 "$hex"
        refused format-single "$IMG" info --safe -f raw bad
        refused format-single "$IMG" convert --safe -f raw -O raw bad out
        passes "$IMG" convert -f raw -O raw bad out
        rm -f out
    done
    text_vmdk monolithicFlat 'RW 2048 FLAT "data" 0' >text
    refused format-single "$IMG" info --safe -f raw text
    # behind comments that fill more than is looked at to guess
    { printf '# nothing to see%.0s\n' {1..100}; cat text; } >long
    refused format-single "$IMG" info --safe -f raw long
    printf 'notes of a day\n' >notes
    passes "$IMG" info --safe -f raw notes
    : >empty
    passes "$IMG" info --safe -f raw empty
    passes "$IMG" info --safe empty
}

# a fixed vpc image is a raw disk with 512 bytes behind it
ends() {
    "$IMG" convert -f raw -O vpc -o subformat=fixed,force_size=on data fixed
    refused format-single "$IMG" info --safe fixed
    passes "$IMG" info --safe -f vpc fixed
    passes "$IMG" info --safe -f raw fixed
    # its first sector is the guest's: that it has a partition table is as it should be
    mark fixed && partition fixed 0 $LINUX
    passes "$IMG" info --safe -f vpc fixed
    printf 'QFI\373\0\0\0\3' | into fixed 0
    refused format-single "$IMG" info --safe -f vpc fixed
    { cat data; printf koly; head -c 508 /dev/zero; } >dmg
    refused format-single "$IMG" info --safe dmg
}

mbr
cds
in_images
as_raw
ends
finish
