# A stop in the middle of `bitmap`, and of writes over a bitmap: the image reads as it should, and no
# bitmap is wrong without saying so.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/crash/crash.bash
. "$(dirname "$0")/crash.bash"
need_reference
need_ours
scratch 300
MOMENTS=${CRASH_MOMENTS:-15}

# An image with two snapshots behind it: $T/model what is active.
image() {
    prepare
    truncate -s 3M "$T/raw"
    put "$T/raw" 100000 noise 300000 1
    put "$T/raw" 1500000 noise 900000 2
    "$REF" convert -f raw -O qcow2 -o "$1" "$T/raw" image
    "$REF" snapshot -c one image
    "$REF_IO" -c 'write -P 7 30k 300k' -c 'write -P 8 1M 700k' -c 'write -z 2M 256k' image >/dev/null
    "$REF" snapshot -c two image
    "$REF_IO" -c 'write -P 9 1300k 300k' image >/dev/null
    contents image qcow2 "$T/model"
}

# With a bitmap in it, which is right or known not to be.
image compat=1.1
crash "bitmap --add" "$IMG" bitmap --add image b -- content image qcow2 "$T/model"
"$REF_IO" -c 'write -P 4 0 1M' image >/dev/null
contents image qcow2 "$T/model"
crash "bitmap --merge" "$IMG" bitmap --add --merge b image c -- content image qcow2 "$T/model"
crash "bitmap --clear" "$IMG" bitmap --clear image b -- content image qcow2 "$T/model"
cp "$T/before/image" image
contents image qcow2 "$T/old"
cp "$T/old" "$T/new"
perl -e 'open(my $f, "+<", $ARGV[0]) or die; seek($f, 700000 - 700000 % 512, 0); print $f "\5" x 409600' "$T/new"
crash "bench -w over a bitmap" "$IMG" bench -q -w -f qcow2 --pattern 5 -o $((700000 - 700000 % 512)) \
    -s 4k -c 100 -d 8 image -- sectors image qcow2 "$T/old" "$T/new"
crash_unsynced "bench -w without syncs" "$IMG" bench -q -w -f qcow2 --pattern 6 -o 2M -s 4k -c 20 -d 4 \
    --flush-interval 5 image -- opens image qcow2
finish
