# What a new file asks of its file system: extents of a size on XFS, no copies on Btrfs. Needs to
# mount.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../../lib.sh"
need mkfs.xfs mkfs.btrfs xfs_io lsattr losetup
[ "$(id -u)" = 0 ] || skip "only root can mount"
scratch 600

# mounted KIND MIB: an empty file system of that kind at $T/KIND
mounted() {
    truncate -s "$2M" "$T/$1.disk"
    mkdir "$T/$1"
    "mkfs.$1" -q "$T/$1.disk" >/dev/null 2>&1 && mount -o loop "$T/$1.disk" "$T/$1" 2>/dev/null ||
        skip "cannot mount $1"
    at_exit+=("umount '$T/$1'")
}

# extents BYTES CMD...: the file that it makes has this extent size.
extents() {
    local bytes=$1
    shift
    rm -f image data
    good "$@" || return 0
    for file in image data; do
        [ ! -e $file ] || [ "$(xfs_io -r -c extsize $file | tr -dc 0-9)" = "$bytes" ] ||
            bad "$*: $(xfs_io -r -c extsize $file)"
    done
}

mounted xfs 320
cd "$T/xfs"
"$IMG" create -q -f raw source 1M
for format in raw qcow2 vdi; do
    extents 1048576 "$IMG" create -q -f $format image 1M
    extents 65536 "$IMG" create -q -f $format -o extent_size_hint=64k image 1M
    extents 0 "$IMG" create -q -f $format -o extent_size_hint=0 image 1M
    extents 8388608 "$IMG" convert -O $format -o extent_size_hint=8M source image
done
extents 2097152 "$IMG" create -q -f qcow2 -o data_file=data,extent_size_hint=2M image 1M
# no multiple of a block: told, and done without
rm -f image
try "$IMG" create -q -f raw -o extent_size_hint=3 image 1M
checked
[ $rc = 0 ] && [ -f image ] || bad "a hint that cannot be had is an error"
grep -q 'warning: Failed to set extent size hint: Invalid argument' "$T/.err" || bad "it is not told"

mounted btrfs 200
cd "$T/btrfs"
for nocow in on off; do
    good "$IMG" create -q -f qcow2 -o nocow=$nocow,data_file=data image 1M || true
    for file in image data; do
        checked
        has=off
        [[ $(lsattr $file) != *C* ]] || has=on
        [ $has = $nocow ] || bad "nocow=$nocow: $(lsattr $file)"
    done
    rm -f image data
done
cd /
finish
