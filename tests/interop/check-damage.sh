#!/bin/bash
# check of damaged qcow2 images: the same lines in the same order, the same counts and exit code as
# the original. First damage of every kind at a known place, then at random (SEED, COUNT).
. "$(dirname "$0")/../lib.sh"
. "$TESTS/interop/fixtures.bash"
need_reference
need perl
scratch 100
cd "$T"
SEED=${SEED:-1} COUNT=${COUNT:-150}

# alike WHAT: both programs say the same of `damaged`. Left out: the original's note that it gives
# up a refcount block, and that a damaged bitmap table is no image there.
alike() {
    local rc_ref=0
    "$REF" check damaged >theirs.out 2>theirs.err </dev/null || rc_ref=$?
    try timeout 60 "$IMG" check $how damaged
    checked
    sed -i '/^qcow2: Image is corrupt/d; s/^qemu-img: //' theirs.err
    sed -i '/^qcow2: Image is corrupt/d; s/^[a-z-]*-img: //' .err
    grep -q "Bitmap '' doesn't\|Could not read bitmap_table" theirs.err && return
    [ $rc = $rc_ref ] || bad "exit $rc, not $rc_ref: $1"
    diff -u theirs.err .err >diff || { bad "other lines: $1"; head -n 12 diff >&2; }
    diff -u theirs.out .out >diff || { bad "other counts: $1"; head -n 12 diff >&2; }
}

# damage [PLACE BYTES]...: places of table entries may be named, as L2+8
damage() {
    local text="$image $*" at
    cp "$image" damaged
    while [ $# -gt 0 ]; do
        at=$(($1))
        patch_bytes damaged $at "$2"
        shift 2
    done
    alike "$text"
}

# places IMAGE: where its first tables are
places() {
    image=$1
    L1=$(be "$1" 40 8) RT=$(be "$1" 48 8) SN=$(be "$1" 64 8)
    RB=$(be "$1" "$RT" 8) L2=$(($(be "$1" "$L1" 8) & 0xfffffffffffe00))
}

make() {
    local name=$1
    shift
    create qcow2 "$@" "$name" 64M
    io qcow2 "$name" "write -P 0 0 200k"
}

how=
make plain
make old -o compat=0.10
make narrow -o refcount_bits=1
make wide -o refcount_bits=64
make small -o cluster_size=512
make extended -o extended_l2=on
make data -o data_file=beside
make data_raw -o data_file=beside_raw,data_file_raw=on
make packed
io qcow2 packed "write -c -P 1 1M 64k" "write -c -P 2 1088k 64k" "write -P 0 4M 64k"
make snap
"$REF" snapshot -c one snap
"$REF" snapshot -c two snap
io qcow2 snap "write -P 0 0 100k"
make marked
"$REF" bitmap --add marked b0
"$REF" bitmap --add -g 16k --disable marked b1
images="plain old narrow wide small extended data data_raw packed snap marked"
for image in $images; do
    damage
done

standard="8000000000050200 8000000000050002 8100000000050000 8000000000050001 8000000000050201
    8000000000500000 8000000000090000 80000000000a0000 8000000000000000 0000000000050000
    8000000000060000 8000000000040000 8000000000010000 4000000000050000 4000000000500000
    c000000000050000 c000000000050100 7fffffffffffffff ffffffffffffffff 0000000000000001
    0000000000050001 407fffffff08fff0 4040000000080000 4040000000090000"
places plain
for entry in $standard; do
    damage L1 "$entry"
    damage L2 "$entry"
done
for entry in 0000000000020200 0000000000020001 0100000000020000 8000000000020000 0000000000000000 \
    0000000000500000 0000000000090000 0000000000050000 0000000000020201; do
    damage RT $entry
    damage RT+8 $entry
    damage RT+8000 $entry
done
damage RB+200 0001
damage RB 00000001
damage RB 00050001
damage RB+12 ffff
damage 48 0000000000900000
damage L2 8000000000050000 40 0000000000900000

places snap
for entry in 0000000000090200 0000000000590000; do
    damage SN $entry
done
for size in 10000000 00000000 00010000; do
    damage SN+8 $size
done
for extra in ffffffff 00000010 00000008 00000000; do
    damage SN+36 $extra
    damage SN+72+36 $extra
done
damage SN+14 ffff
for offset in 0000000000500000 0000000000090000 0000000000090001; do
    damage 64 $offset
done
for count in 00000003 00000001 00000000 00010001 01000000; do
    damage 60 $count
done
damage L2 0000000000050002 L1 8000000000000002 RT 0000000000020001 RT+8 0000000000050200 \
    SN 0000000000090200 SN+72+36 00000008 RB 0005

places extended
for entry in 80000000000500000000000100000001 0000000000000000 00000000000000000000000100000000 \
    4000000000050000 40000000000500000000000000000000 40000000000500000000000100000000 \
    8000000000050000ffffffff00000000 80000000000500000000000000000000 8000000000050200 \
    8000000000050002 8000000000050001 8000000000000000 80000000000000000000000100000000 \
    80000000000502000000000100000001 80000000000502020000000100000001 \
    80000000000502000000000000000000 c0000000000500000000000000000001; do
    damage L2 $entry
done

places data
for entry in 0000000000000000 0000000000010000 8000000000020000 8000000000010200 4000000000010000 \
    c000000000010000 8000000050010000 8000000000000002 8000000000000001; do
    damage L2 $entry
done
damage RT 8000000000020000 L2+8 0000000000030000

places narrow
damage L2 8000000000060000
damage RB 01
damage RB ff05

places marked
table=$(be marked "$(be marked 528 8)" 8)
damage table 0000000000500000
damage table 0000000000000001

# scribble NUMBER: image and damage of that number, into `damaged`; its story on stdout
random() {
    perl -e '
        use strict; use bigint;
        my ($seed, $n, @images) = @ARGV;
        srand($seed * 100003 + $n);
        my $image = $images[rand @images];
        open(my $in, "<:raw", $image) or die; local $/; my $d = <$in>;
        my $word = sub { unpack("Q>", substr($d, $_[0], 8)) };
        my $cluster = 1 << unpack("N", substr($d, 20, 4));
        my ($l1, $rt, $sn) = ($word->(40), $word->(48), $word->(64));
        my $l2 = $word->($l1) & 0xfffffffffffe00;
        my @places = ($l1, (map { $l2 + 8 * int(rand($cluster / 8)) } 1 .. 3),
            (map { $l2 + 8 * $_ } 0 .. 7), $rt, $rt, $rt + 8,
            (map { $word->($rt) + 2 * int(rand(16)) } 1 .. 6));
        push @places, map { $sn + 8 * int(rand(18)) } 1 .. 5 if unpack("N", substr($d, 60, 4));
        my $story = $image;
        for (1 .. 1 + int(rand(3))) {
            my $c = int(rand(length($d) / $cluster + 3)) * $cluster;
            my $copied = $c | (1 << 63);
            my @values = ($c, $c, $copied, $copied, $copied | (1, 2, 512, 1 << 57, 256)[rand 5],
                $c | (1 << 62), $c | (1 << 62) | int(rand(512)) | (int(rand(256)) << 54), 0, 1,
                (int(rand(1 << 32)) << 32) | int(rand(1 << 32)));
            my ($at, $value, $len) = ($places[rand @places], $values[rand @values], (8, 8, 8, 2)[rand 4]);
            next if $at + $len > length($d);
            my $bytes = substr(pack("Q>", $value), 8 - $len);
            substr($d, $at, $len) = $bytes;
            $story .= sprintf(" %d %s", $at, unpack("H*", $bytes));
        }
        if (rand() < 0.1) {
            $d = substr($d, 0, int(length($d) * (3 + rand()) / 4));
            $story .= " cut at " . length($d);
        }
        open(my $out, ">:raw", "damaged"); print $out $d;
        print $story;' "$SEED" "$1" $images
}

for how in "" "--memory=1k"; do # little memory: more than one walk over the tables
    is_reference && [ "$how" ] && continue
    for ((i = 0; i < COUNT; i++)); do
        alike "$how SEED=$SEED, $i: $(random "$i")"
    done
done
finish
