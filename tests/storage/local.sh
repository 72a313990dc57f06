#!/bin/bash
# ext4, XFS and Btrfs, each on a loop device: three ranks of one host write one image, with and
# without the page cache; reflinks where the file system has them; a full file system says so.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/storage/trial.bash"
need_mpi
need losetup mount fincore
[ "$(id -u)" = 0 ] || skip "mounting needs root"
scratch 700

clients=1 DIR=
on() {
    shift
    if [ $# = 1 ]; then (cd "$DIR" && bash -c "$1"); else (cd "$DIR" && "$@"); fi
}
all() { (cd "$DIR" && ranks 3 "$@"); }
stored() { dd if="$DIR/$1" iflag=direct bs=1M status=none | sha256sum | cut -c1-64; } # beside the cache
bring() { on 1 "cp $1 $2 && sync $2 && dd of=$2 oflag=nocache conv=notrunc count=0 status=none"; }

# fs NAME MKFS...: a new one, mounted on $DIR
fs() {
    local name=$1
    shift
    DIR=$T/$name
    mkdir "$DIR"
    truncate -s 320M "$T/$name.img"
    if ! command -v "$1" >/dev/null || ! "$@" "$T/$name.img" >/dev/null 2>&1; then
        echo "note: $name is left out, $1 does not work here" >&2
        return 1
    fi
    mount -o loop "$T/$name.img" "$DIR" 2>/dev/null && return 0
    echo "note: $name is left out, it cannot be mounted here" >&2
    return 1
}

# Data that fits nowhere: one line, nothing left behind.
full() {
    local n=0 size
    for size in 64M 16M 4M 2M; do # until no more goes in
        while on 1 "fallocate -l $size filler.$n" 2>/dev/null; do n=$((n + 1)); done
    done
    try all "$IMG" convert -f raw -O qcow2 guest target
    checked
    [ $rc = 1 ] && grep -q "No space left on device" "$T/.err" && [ ! -e "$DIR/target" ] ||
        bad "full: $rc, $(cat "$T/.err")"
    checked
    [ "$(cd "$DIR" && ls -A | grep -c target)" = 0 ] || bad "full: something is left behind"
    on 1 "rm filler.*"
}

tried=0
for name in ext4 xfs btrfs; do
    case $name in
    ext4) make=(mkfs.ext4 -q -m 0) ;;
    xfs) make=(mkfs.xfs -q -f) ;;
    btrfs) make=(mkfs.btrfs -q -f) ;;
    esac
    fs $name "${make[@]}" || continue
    at_exit+=("umount '$DIR'")
    tried=$((tried + 1))
    echo "$name:"
    rm -rf "$T/here"
    trial_guest
    trial_formats
    trial_modes
    trial_clean
    full
done
[ $tried -gt 0 ] || skip "none of the file systems can be had here"
finish
