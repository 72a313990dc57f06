#!/bin/bash
# File names that stand in images. Parts of an image (data file, extents) and parents of foreign
# formats are plain local files, whatever their names look like: no options, no protocol, so that no
# image makes us talk to anybody. So are backing files, unless the user says that the image can be
# trusted (MPI_IMG_TRUST_NAMES=1): then a name is what it is to the original.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
need_ours # it refuses some of the names, and knows no parents of vhdx and vpc
scratch 100
cd "$T"

names=('json:{"driver":"null-co","size":65536}' 'null-co://x' 'nbd://localhost:1/x'
    'nbd:unix:socket' 'http://localhost:1/x' 'fat:/tmp' 'blkdebug::x' 'file:x' 'host_device:/dev/zero')

pattern noise 65536 1 >bytes

# -- makers: an image that names $1, and shows `bytes` if that file is there ---------------------------

make_data_file() {
    local stand
    stand=$(printf '%*s' ${#1} '' | tr ' ' x)
    "$REF" create -q -f qcow2 -o "data_file=$stand,data_file_raw=on" image 64k
    rm "$stand"
    perl -pi -e 'BEGIN { ($a, $b) = splice(@ARGV, 0, 2) } s/\Q$a\E/$b/' "$stand" "$1" image
    cp bytes part
}

make_extent() {
    case $1 in *\"*) return 1 ;; esac # the descriptor has quotes around it
    {
        echo '# Disk DescriptorFile'
        echo 'version=1'
        echo 'CID=12345678'
        echo 'parentCID=ffffffff'
        echo 'createType="monolithicFlat"'
        echo "RW 128 FLAT \"$1\" 0"
    } >image
    cp bytes part
}

make_vhdx_parent() {
    local guid=0badcafe-0000-1111-2222-333333333333
    vhdx make part size=64k block=1M guid=$guid put=0,65536,7
    "$REF" convert -f vhdx -O raw part bytes
    vhdx make image size=64k block=1M "parent=$1" linkage=$guid
}

make_vpc_parent() {
    "$REF" create -q -f vpc -o force_size=on part 64k
    "$REF_IO" -f vpc -c "write -P 9 0 64k" part >"$T/.io" || fail "$(cat "$T/.io")"
    "$REF" convert -f vpc -O raw part bytes
    "$REF" create -q -f vpc -o force_size=on image 64k
    perl "$TESTS/formats/vpc/make-differencing" image part "W2ru=$1" "name=$1"
}

# local_only WHAT FORMAT
local_only() {
    local name
    for name in "${names[@]}"; do
        "make_$1" "$name" || continue
        checked
        cp bytes want
        try timeout 20 "$IMG" convert -f "$2" -O raw image out
        [ $rc = 1 ] || bad "$1 $name: exit $rc without that file"
        grep -q 'No such file or directory' "$T/.err" || bad "$1 $name: says $(cat "$T/.err")"
        mkdir -p "./$(dirname "$name")"
        mv part "./$name"
        try timeout 20 "$IMG" convert -f "$2" -O raw image out
        [ $rc = 0 ] || bad "$1 $name: exit $rc: $(cat "$T/.err")"
        cmp -s out want || bad "$1 $name: reads otherwise"
        rm -rf "./${name%%/*}" out
    done
}

local_only data_file qcow2
local_only extent vmdk
local_only vhdx_parent vhdx
local_only vpc_parent vpc

# -- backing files: plain, or where they are trusted as the original --------------------------------

# outcome PROGRAM FORMAT: exit code, contents
outcome() {
    rm -f out
    try timeout 20 "$1" convert -f "$2" -O raw image out
    echo "$rc $(hash_of out 2>/dev/null || true)"
}

"$REF" create -q -f qcow2 inner 64k
for format in qcow2 qed qcow; do
    for name in "${names[@]}" null-co:// 'json:{"driver":"raw","file":{"driver":"file","filename":"bytes"}}' \
        'json:{"driver":"qcow2","file":{"driver":"file","filename":"inner"}}'; do
        case $name in fat:* | blkdebug:*) continue ;; esac # protocols that the original has
        checked
        stand=$(printf '%*s' ${#name} '' | tr ' ' x)
        "$REF" create -q -u -f $format -b "$stand" -F raw image 64k
        perl -pi -e 'BEGIN { ($a, $b) = splice(@ARGV, 0, 2) } s/\Q$a\E/$b/' "$stand" "$name" image
        theirs=$(outcome "$REF" $format)
        ours=$(MPI_IMG_TRUST_NAMES=1 outcome "$IMG" $format)
        [ "$theirs" = "$ours" ] || bad "$format on $name: $ours, the original: $theirs: $(cat "$T/.err")"
        case $name in json:*size* | nbd:* | http:* | host_device:* | null-co://) ;; *) continue ;; esac
        outcome "$IMG" $format >/dev/null
        grep -q "is no plain file name" "$T/.err" || bad "$format on $name is opened: $(cat "$T/.err")"
    done
done
finish
