# A stop in the middle of `convert -n` into vhdx, whose log has to be replayed then, and into vmdk,
# which has two copies of its tables: the original opens what is left, too.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/crash/crash.bash
. "$(dirname "$0")/crash.bash"
need_reference
need_ours
scratch 500
MOMENTS=${CRASH_MOMENTS:-6}

# interrupted FORMAT OPTIONS [HOW]
interrupted() {
    prepare
    "$REF" create -q -f "$1" -o "$2" image 5M
    "$REF_IO" -f "$1" -c 'write -P 7 30k 300k' -c 'write -P 8 2M 100k' image >/dev/null
    contents image "$1" "$T/old"
    truncate -s 5M source
    put source 300000 noise 1000000 1
    put source 4000000 noise 900000 2
    cp source "$T/new"
    "${3:-crash}" "$1, $2" "$IMG" convert -n -t writeback -f raw -O "$1" source image \
        -- sectors image "$1" "$T/old" "$T/new" and theirs image "$1" "$T/old" "$T/new"
}

interrupted vhdx block_size=1M
interrupted vhdx block_size=1M crash_unsynced
interrupted vmdk subformat=monolithicSparse
interrupted vmdk subformat=monolithicSparse,zeroed_grain=on
interrupted vmdk subformat=twoGbMaxExtentSparse
interrupted vmdk subformat=monolithicSparse crash_unsynced
finish
