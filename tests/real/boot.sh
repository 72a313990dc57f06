#!/bin/bash
# A real guest: Debian, converted to every format that can be written, boots from what we wrote to a
# login prompt (QEMU, software emulation), writing to its disk as it does so.
#
#   BOOT_FORMATS="qcow2 vmdk" (names of subformats.bash) GUEST=disk.raw sh tests/run.sh real.boot
. "$(dirname "$0")/../lib.sh"
. "$TESTS/subformats.bash"
need qemu-system-x86_64 debootstrap grub-mkimage mke2fs
need_ours
[ "$(id -u)" = 0 ] || skip "a root file system can only be made by root"
scratch 4000
cd "$T"
ours=$(readlink -f "$IMG")
BOOT_SECONDS=${BOOT_SECONDS:-300}

guest=${GUEST:-$T/guest.raw}
[ -e "$guest" ] || TMPDIR=$T bash "$TESTS/real/make-guest" "$guest" ||
    skip "no guest: Debian's packages cannot be had"

# boots NAME FORMAT IMAGE: does a login prompt come?
boots() {
    local name=$1 format=$2 image=$3 waited=0 pid
    : >"$name.log"
    qemu-system-x86_64 -machine q35,accel=tcg -m 512 -display none -nodefaults -no-reboot \
        -serial "file:$name.log" -drive "file=$image,format=$format,if=virtio$4" 2>"$name.err" &
    pid=$!
    while [ "$waited" -lt "$BOOT_SECONDS" ] && kill -0 "$pid" 2>/dev/null; do
        grep -q 'login:' "$name.log" && break
        sleep 1
        waited=$((waited + 1))
    done
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    checked
    if grep -q 'login:' "$name.log"; then
        echo "$name: login prompt after $waited s"
    else
        bad "$name: no login prompt in $BOOT_SECONDS s"
        tail -n 3 "$name.err" "$name.log" >&2
    fi
}

while read -r name format options; do
    case " ${BOOT_FORMATS:-qcow2 vmdk vhdx vdi vpc} " in
    *" $name "*) ;;
    *" all "*) case $name in *luks) continue ;; esac ;; # it would ask for the key
    *) continue ;;
    esac
    # shellcheck disable=SC2086  # words
    good "$ours" convert -f raw -O "$format" $options "$guest" "disk.$name" || continue
    good "$REF" compare -q -f raw -F "$format" "$guest" "disk.$name" || continue
    # a stream cannot be written to
    boots "$name" "$format" "disk.$name" "$([ "$name" = vmdk-stream ] && echo ,snapshot=on)"
    rm -f disk.*
done < <(subformats)
finish
