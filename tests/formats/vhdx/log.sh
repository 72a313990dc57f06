#!/bin/bash
# Logs that were not replayed. The original writes an image and is stopped by a disk that fails;
# we read what is left as it does after its own replay, and repair it with the same words.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
need_ours
scratch 300
cd "$T"
shim=$BUILD/fault-shim.so
[ -f "$shim" ] || skip "no fault-shim.so in $BUILD"

MIB=1048576

# dirty NTH: an image whose writer met a failure at its nth sync
dirty() {
    create vhdx -o block_size=1M dirty 64M
    LD_PRELOAD=$shim FAULT_DIR=$T FAULT=sync:$1 "$REF_IO" -f vhdx -c "write -P 5 3M 100k" \
        -c "write -P 6 9M 100k" -c "write -z 3M 2M" dirty >/dev/null 2>&1 || true
}

has_log() {
    ! "$REF" info dirty >/dev/null 2>&1
}

# judge NAME: `dirty` through both programs
judge() {
    cp dirty before
    good "$IMG" convert -O raw dirty ours
    good "$IMG" info --output=json dirty
    grep -q '"dirty-flag": true' .out || bad "$1: info does not tell of the log"
    good "$IMG" check -q dirty
    cmp dirty before || bad "$1: reading changed it"
    local output
    for output in human json; do
        cp dirty theirs.vhdx
        cp dirty image
        "$REF" check -r all --output=$output theirs.vhdx >theirs.out
        try "$IMG" check -r all --output=$output image
        checked
        sed -i 's/theirs.vhdx/image/' theirs.out
        [ $rc = 0 ] || bad "$1: exit $rc"
        diff theirs.out .out || bad "$1: other words"
        [ ! -s .err ] || bad "$1: $(cat .err)"
    done
    "$REF" convert -O raw theirs.vhdx theirs
    cmp ours theirs || bad "$1: read otherwise"
    # the original takes our repair for one
    "$REF" check -q image || bad "$1: not clean after our repair"
    "$REF" compare -q -f vhdx -F raw image theirs || bad "$1: repaired otherwise"
    alike check -r all image
}

# read_as IMAGE FORMAT COMMAND...: what qemu-io finds where it is told to look
read_as() {
    local image=$1 format=$2 command
    shift 2
    for command; do
        checked
        "$REF_IO" -r -f "$format" -c "$command" "$image" | grep -q failed && bad "$image: not so: $command"
    done
    return 0
}

found=0
for nth in $(seq 1 30); do
    dirty "$nth"
    has_log || continue
    found=$((found + 1))
    judge "sync $nth"
done
[ $found -gt 4 ] || bad "only $found of the original's stops left a log"

# -- logs of our own making ------------------------------------------------------------------------

# BAT at 4 MiB (metadata comes first), blocks from 5 MiB on
bat=$((4 * MIB))
plain() {
    vhdx make dirty size=64M put=3M,3M,7 state=9,2 put=63M,4k,9
}

logged() {
    plain
    vhdx log dirty "$@"
    judge "log $*"
}

logged entry word=$bat,0x500006 word=$((bat + 24)),2
logged entry data=$((5 * MIB)),9 zero=$((5 * MIB + 4096)),8k data=$((5 * MIB + 8192)),3
logged entry word=$bat,0x500006 word=$((bat + 24)),2 entry word=$((bat + 8)),0x500006 word=$bat,2
logged entry data=$((5 * MIB)),9 entry,torn data=$((5 * MIB)),8
logged at=1020k entry data=$((5 * MIB)),9 entry zero=$((5 * MIB)),4k data=$((6 * MIB)),8
# the first entry is done already
plain
put dirty $((5 * MIB)) zero 4096
vhdx log dirty entry zero=$((5 * MIB)),4k entry,tail=4096 data=$((6 * MIB)),8
judge "the tail has moved"
logged entry

# what the original has no part in: a file that grows, entries of many descriptors
plain
vhdx log dirty entry,last=16777216 word=$bat,0xa00006 data=$((10 * MIB)),3 data=$((11 * MIB - 4096)),4
good "$IMG" convert -O raw dirty theirs
good "$IMG" check -q dirty
try "$IMG" check -r all dirty
checked
[ "$(stat -c %s dirty)" = 16777216 ] || bad "a file that grows: not to its length"
"$REF" compare -q -f vhdx -F raw dirty theirs || bad "a file that grows: repaired otherwise"
many=()
for i in $(seq 0 199); do
    many+=("zero=$((5 * MIB + i * 4096)),4k")
done
plain
vhdx log dirty entry "${many[@]}" data=$((5 * MIB)),9
good "$IMG" convert -O raw dirty theirs
try "$IMG" check -r all dirty
checked
"$REF" compare -q -f vhdx -F raw dirty theirs || bad "many descriptors: repaired otherwise"
read_as dirty vhdx "read -P 9 3M 4k" "read -P 0 3076k 796k" "read -P 7 3872k 2272k"

# 4 KiB sectors and a log: nobody but us
vhdx make dirty sector=4096 size=64M put=3M,1M,7
vhdx log dirty entry data=$((5 * MIB)),9
good "$IMG" convert -O raw dirty ours
read_as ours raw "read -P 9 3M 4k" "read -P 7 3076k 1020k"

# -- damaged ones ----------------------------------------------------------------------------------

damaged() {
    plain
    vhdx log dirty "$@"
    refused "log $*" convert -O raw dirty ours
    cp dirty before
    refused "log $*" check -r all dirty
    cmp dirty before || bad "log $*: changed"
}
damaged entry,flushed=99999744 data=$((5 * MIB)),9
damaged entry data=$MIB,9
damaged entry data=65536,9
damaged entry zero=$((5 * MIB + 512)),4k
damaged entry zero=$((5 * MIB)),512
damaged entry zero=$((5 * MIB)),18446744073709547520
damaged entry,torn data=$((5 * MIB)),9 entry data=$((5 * MIB)),8
damaged entry,other data=$((5 * MIB)),9 entry data=$((5 * MIB)),8
plain
vhdx log dirty entry data=$((5 * MIB)),9
vhdx header dirty 1 log_version=1 # the one that counts
refused "log version" info dirty
# a log that was never begun, or whose first entry is torn: nothing to replay
plain
good "$IMG" convert -O raw dirty theirs
vhdx log dirty entry,torn data=$((5 * MIB)),9
good "$IMG" compare -f vhdx -F raw dirty theirs
finish
