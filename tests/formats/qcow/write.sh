#!/bin/bash
# What we write, the original finds equal, and so do independent readers of the format.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/qcow/common.bash"
need_reference
scratch 700
cd "$T"
materials
create raw source $((64 * 1048576 + 3 * 512))
scribble raw source

seven=$(command -v 7zz || command -v 7z || true)
[ -n "$seven" ] || echo "note: no 7zz, its reading is not tried"
mkdir mount
mounts=
create qcow probe 1M
if qcowmount probe mount >/dev/null 2>&1; then
    mounts=1
    umount mount
fi
[ -n "$mounts" ] || echo "note: no qcowmount, its reading is not tried"
at_exit+=("umount $T/mount 2>/dev/null")

# others WHAT IMAGE. Of packed images 7zz says that it cannot.
others() {
    if [ -n "$seven" ] && [[ $1 != *-c* ]]; then
        "$seven" e -so -tqcow "$2" >unpacked 2>/dev/null || bad "$1: 7zz cannot read it"
        cmp source unpacked || bad "$1: 7zz reads otherwise"
    fi
    [ -n "$mounts" ] || return 0
    qcowmount "$2" mount >facts 2>&1 || bad "$1: qcowmount: $(cat facts)"
    cmp source mount/qcow1 || bad "$1: libqcow reads otherwise"
    umount mount
}

for options in "" "-S 0" "-S 64k" -c "-c --compression-level 1" "-c --compression-level 9"; do
    # shellcheck disable=SC2086
    good "$IMG" convert -f raw -O qcow $options source out || continue
    judge "options $options" qcow out source
    case $options in "" | -c) looks qcow out ;; esac
    others "options $options" out
done

# packed no worse than the original's
good "$IMG" convert -c -f raw -O qcow source ours
packed_by_original source theirs
[ "$(stat -c %s ours)" -le "$(stat -c %s theirs)" ] || bad "larger than the original's"

# over a backing image
create raw base 64M
pattern noise 3000000 7 | dd of=base bs=1M seek=40 conv=notrunc status=none
io raw base "write -P 5 0 8M"
create qcow2 -b base -F raw upper 64M
io qcow2 upper "write -P 7 2M 1M" "write -z 3M 1M" "write -P 8 5M 512" "write -z 41M 1k"
for options in "" -c; do
    # shellcheck disable=SC2086
    good "$IMG" convert $options -O qcow -B base -F raw upper out && judge "-B $options" qcow out upper
    looks qcow out
done
create qcow2 alone 64M
io qcow2 alone "write -P 3 1M 64k"
good "$IMG" convert -O qcow -B base -F raw alone out && judge "-B of an image that has none" qcow out alone
finish
