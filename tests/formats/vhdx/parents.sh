#!/bin/bash
# Images with a parent: sectors that are here and sectors that are not, chains, what a parent
# must be. The original cannot read them; a raw image that is written alike, and 7zz, can tell.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
need_ours
scratch 700
cd "$T"
seed=${SEED:-1}
draw() {
    seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
    drawn=$(((seed >> 8) % $1))
}

BASE=0badcafe-0000-1111-2222-333333333333
CHILD=00000000-1111-1111-1111-111111111111

# same IMAGE RAW: the same contents, whoever reads
same() {
    good "$IMG" convert -O raw "$1" ours || return 0
    cmp ours "$2" || bad "$1: read otherwise"
    good "$IMG" compare -q "$1" "$2"
    good "$IMG" check -q "$1"
    [ -n "$seven" ] || return 0
    case $1 in */*) return 0 ;; esac # it looks for parents in the same folder
    checked
    "$seven" e -so "$1" >unpacked 2>/dev/null || bad "$1: 7zz cannot read it"
    cmp unpacked "$2" || bad "$1: 7zz reads otherwise"
}

# random IMAGE SECTOR BLOCK COUNT WORD...: an image of 40 MiB over what is in `model`, which follows
random() {
    local image=$1 sector=$2 block=$3 count=$4 puts=() io=() i at n
    shift 4
    for ((i = 0; i < count; i++)); do
        draw $((40 * 1048576 / sector - 700)) && at=$((drawn * sector))
        draw 3
        [ "$drawn" = 0 ] && draw 600 || draw 9
        n=$(((1 + drawn) * sector))
        puts+=("put=$at,$n,$((i % 200 + 20))")
        io+=("write -P $((i % 200 + 20)) $at $n")
    done
    vhdx make "$image" size=40M sector=$sector block=$block "$@" "${puts[@]}"
    io raw model "${io[@]}"
}

mkdir sub
for shape in "512 1M" "512 32M" "4096 2M" "4096 64M"; do
    # shellcheck disable=SC2086  # words
    set -- $shape
    create raw model 40M
    random base.vhdx "$1" "$2" 20 guid=$BASE
    same base.vhdx model
    random child.vhdx "$1" "$2" 30 guid=$CHILD 'parent=.\base.vhdx' linkage=$BASE
    same child.vhdx model
    random sub/top.vhdx "$1" "$2" 30 'parent=..\child.vhdx' linkage=$BASE linkage2=$CHILD
    same sub/top.vhdx model
done

# every state of a block
vhdx make base.vhdx size=20M put=0,20M,1 guid=$BASE
vhdx make child.vhdx size=20M parent=base.vhdx linkage=$BASE put=512,512,2 put=1M,1536,3 \
    put=5M,2M,4 full=5 state=9,2 state=10,3 state=11,1 state=12,5 state=13,0 put=20970496,1k,5
create raw model 20M
io raw model "write -P 1 0 20M" "write -P 2 512 512" "write -P 3 1M 1536" "write -P 4 5M 2M" \
    "write -z 9M 4M" "write -P 5 20970496 1k"
seven= same child.vhdx model
# a parent that is shorter reads as zeros behind its end
vhdx make base.vhdx size=3M put=0,3M,1 guid=$BASE
vhdx make child.vhdx size=20M parent=base.vhdx linkage=$BASE put=512,512,2
create raw model 20M
io raw model "write -P 1 0 3M" "write -P 2 512 512"
good "$IMG" compare -q child.vhdx model
# sector bitmaps of several chunks: 4 GiB each
vhdx make base.vhdx size=9G put=4095M,2M,1 put=8191M,2M,2 guid=$BASE
vhdx make child.vhdx size=9G parent=base.vhdx linkage=$BASE put=4294966784,1k,3 put=8589934080,1k,4 \
    put=9215M,512,5
create raw model 9G
io raw model "write -P 1 4095M 2M" "write -P 2 8191M 2M" "write -P 3 4294966784 1k" \
    "write -P 4 8589934080 1k" "write -P 5 9215M 512"
good "$IMG" compare -q child.vhdx model

# what is told of it
vhdx make base.vhdx size=20M put=0,20M,1 guid=$BASE
vhdx make sub/child.vhdx size=20M 'parent=..\base.vhdx' linkage=$BASE
try "$IMG" info sub/child.vhdx
checked
grep -qF 'backing file: ../base.vhdx (actual path: sub/../base.vhdx)' .out || bad "info names no parent"
grep -qF 'backing file format: vhdx' .out || bad "info names no format of the parent"
good "$IMG" convert -O raw sub/child.vhdx ours
cmp ours <("$IMG" convert -f vhdx -O raw base.vhdx theirs && cat theirs) || bad "nothing here: read otherwise"
# to keep the chain, the new image is made over the same parent
good "$IMG" convert -O qcow2 -B base.vhdx -F vhdx sub/child.vhdx over.qcow2
good "$IMG" compare -q over.qcow2 sub/child.vhdx
# an absolute place of Windows counts from the root
vhdx make child.vhdx size=20M "absolute=C:$(echo "$T" | tr / '\\')\\base.vhdx" linkage=$BASE
good "$IMG" compare -q child.vhdx base.vhdx

# -- not its parent --------------------------------------------------------------------------------

vhdx make child.vhdx size=20M parent=base.vhdx linkage=$CHILD put=0,512,2
good "$IMG" info child.vhdx
for args in "convert -O raw child.vhdx ours" "convert -O qcow2 child.vhdx ours"; do
    # shellcheck disable=SC2086  # words
    refused "another parent" $args
    grep -q "'base.vhdx' is not the parent" .err || bad "another parent: $(cat .err)"
done
create raw raw.vhdx 20M
vhdx make child.vhdx size=20M parent=raw.vhdx linkage=$BASE
refused "a raw parent" convert -O raw child.vhdx ours
vhdx make child.vhdx size=20M parent=none.vhdx linkage=$BASE
refused "no parent" convert -O raw child.vhdx ours
vhdx make child.vhdx size=20M parent=child.vhdx linkage=01234567-89ab-cdef-0123-456789abcdef
refused "its own parent" convert -O raw child.vhdx ours
vhdx make child.vhdx size=20M parent=nbd:localhost:1 linkage=$BASE
refused "a parent behind a protocol" convert -O raw child.vhdx ours
grep -q 'No such file' .err || bad "a parent behind a protocol: $(cat .err)"
# the parent was written to: the original gives it another linkage
vhdx make base.vhdx size=20M put=0,20M,1 guid=$BASE
vhdx make child.vhdx size=20M parent=base.vhdx linkage=$BASE put=0,512,2
good "$IMG" convert -O raw child.vhdx ours
io vhdx base.vhdx "write -P 9 0 64k"
refused "a parent that has changed" convert -O raw child.vhdx ours
# none are made
refused "made with a parent" create -f vhdx -b base.vhdx -F vhdx new.vhdx
finish
