#!/bin/bash
# --hash and --verify of conversions that were stopped: parts that are not read again have their
# hash in the journal, and the whole is read back all the same.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/resume/resume.bash"
need_ours
scratch 300
cd "$T"
guest source 24
want=$("$IMG" hash source | cut -d' ' -f1)

hashed() {
    local name=$1
    shift
    expected "$name" "$@" || return 0
    stopped_at 20 "$name" --hash "$@"
    try "$IMG" convert --resume "$@" "$name"
    checked
    [ $rc = 1 ] && grep -q "begun with --hash sha256/65536, now it is none" "$T/.err" ||
        bad "$name: without a hash: $rc, $(cat "$T/.err")"
    good "$IMG" convert --resume --hash --verify "$@" "$name" || return 0
    grep -q "^$want" "$T/.out" || bad "$name: another hash: $(cat "$T/.out"), not $want"
    verdict "$name" "$name, read back"
    rm -f "$name"*
}

hashed image.raw -O raw source
hashed packed.qcow2 -c -O qcow2 source
hashed stream.vmdk -O vmdk -o subformat=streamOptimized source

expected image.qcow2 -O qcow2 source
# a part that was spoiled: it is found out, and not gone on with
stopped_at 40 image.qcow2 --verify -O qcow2 source
printf spoiled | dd of="image.qcow2$PART" bs=1 seek=$((2 * MIB)) conv=notrunc status=none
try "$IMG" convert --resume --verify -O qcow2 source image.qcow2
checked
[ $rc = 1 ] && grep -q "Verifying 'image.qcow2' failed" "$T/.err" || bad "spoiled: $rc, $(cat "$T/.err")"
[ ! -e "image.qcow2$JOURNAL" ] && [ ! -e "image.qcow2$PART" ] || bad "a spoiled part was kept"
good env MPI_IMG_SEED=$first "$IMG" convert --resume --verify -O qcow2 source image.qcow2 &&
    verdict image.qcow2 "after a spoiled one"
finish
