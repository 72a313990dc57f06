#!/bin/bash
# What is said of dmg images: as the original says it.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/dmg/guest.bash"
need_reference
scratch 100
cd "$T"

# alike ARGS...: one answer, but for words on modules.
alike() {
    local rc_ref=0
    reference "$@" >theirs.out 2>theirs.err </dev/null || rc_ref=$?
    try "$IMG" "$@"
    checked
    sed -i "s/^$(basename "$IMG"): /qemu-img: /" "$T/.err"
    [ $rc = $rc_ref ] || bad "exit $rc, not $rc_ref: $*"
    diff -u theirs.out "$T/.out" || bad "other stdout: $*"
    diff -u theirs.err "$T/.err" || bad "other stderr: $*"
}

guest
udif image.dmg raw chunk=256 raw zlib
alike info image.dmg
alike info --output=json image.dmg
alike map --output=json image.dmg
alike map image.dmg
alike check image.dmg
alike check --output=json image.dmg
alike compare image.dmg image.dmg
alike compare -F raw image.dmg raw
alike info -f dmg raw
alike create -f dmg new.dmg 1M
alike convert -O dmg raw new.dmg

# by its name only, and only when nothing else is known of it
cp raw other.dmg
cp image.dmg image.DMG
cp image.dmg named
"$REF" create -q -f qcow2 qcow2.dmg 1M
for file in other.dmg image.DMG named qcow2.dmg; do
    alike info $file
done
head -c 100 raw >short
alike info -f dmg short
for size in 1 100 9999; do
    udif image.dmg raw chunk=256 size=$size raw zlib
    alike info image.dmg
done
for after in 512 600; do
    udif image.dmg raw chunk=256 after=$after raw zlib
    alike info image.dmg
done
finish
