#!/bin/bash
# Commands that write to an image that is there: its enabled bitmaps name all that changed, nothing
# that the original's do not, and the disabled ones are as they were.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/servers.sh"
. "$TESTS/formats/bitmaps.bash"
need_bitmaps
need_ours
scratch 200
cd "$T"

SIZE=$((16 << 20))
GRANULE=$((16 << 10))
"$REF" create -q -f qcow2 start $SIZE
"$REF_IO" -c "write -P 1 0 5M" -c "write -P 2 9M 3M" start >/dev/null
"$REF" bitmap --add -g 16k start on
"$REF" bitmap --add --disable -g 4k start off
put source 0 noise 900000
put source 5000000 zero 300000
put source 9437184 noise 40000 3
truncate -s $SIZE source

# dirty IMAGE NAME: one granule that is set a line.
dirty() {
    nbd_serve_qemu -r -f qcow2 -B "$2" "$1"
    nbdinfo --map="qemu:dirty-bitmap:$2" "$URI" |
        awk -v g=$GRANULE '$3 == 1 { for (at = $1 - $1 % g; at < $1 + $2; at += g) print at / g }'
    nbd_stop
}

# changed BEFORE AFTER: one granule that reads otherwise a line.
changed() {
    perl -e '
        my ($g, @names) = @ARGV;
        open(my $a, "<", $names[0]) or die;
        open(my $b, "<", $names[1]) or die;
        for (my $i = 0; read($b, my $y, $g); $i++) {
            my $x = "";
            read($a, $x, $g);
            print "$i\n" if $x ne $y;
        }' $GRANULE "$@"
}

# without A B: lines of A that B lacks; both numbers in order.
without() {
    comm -23 <(sort "$1") <(sort "$2")
}

# holds NAME IMAGE BEFORE AFTER THEIRS: what the bitmap "on" of an image must and may name.
holds() {
    dirty "$2" on >is
    changed "$3" "$4" >must
    dirty "$5" on >may
    checked
    [ -s must ] || bad "$1: nothing changed"
    [ -z "$(without must is)" ] || bad "$1: a change is not in the bitmap"
    checked
    [ -z "$(without is may)" ] || bad "$1: more in the bitmap than the original has"
    image_clean "$2"
}

# trial NAME COMMAND: `$run` is each program in turn, on `image`, beside copies of all the rest.
trial() {
    local name=$1 folder
    for folder in ours theirs; do
        rm -rf $folder
        mkdir $folder
        cp start source $folder
        cp --sparse=always start $folder/image
        run=$IMG pack=-c
        [ $folder = ours ] || run=$REF pack=
        (cd $folder && eval "$2") >/dev/null 2>.err || bad "$name, $folder: $(cat .err)"
    done
    "$REF" convert -O raw start before
    "$REF" convert -O raw ours/image after
    holds "$name" ours/image before after theirs/image
    for folder in ours theirs; do "$REF" info -U --output=json $folder/image >$folder.json; done
    checked
    [ "$(bitmap_list ours/image)" = "$(bitmap_list start)" ] || bad "$name: another list"
    checked
    [ -z "$(dirty ours/image off)" ] || bad "$name: a disabled bitmap has changed"
}

overlay='"$REF" create -q -f qcow2 -b image -F qcow2 top
"$REF_IO" -c "write -P 7 300k 100k" -c "write -z 9M 1M" -c "write -P 8 15M 1" top'

trial "convert -n" '"$run" convert -n -f raw -O qcow2 source image'
trial "convert -n of less" 'truncate -s 3M source; "$run" convert -n -f raw -O qcow2 source image'
# the original refuses to pack what is there
trial "convert -n -c" '"$run" convert -n ${pack:-} -f raw -O qcow2 source image'
trial "convert -n, all of it" '"$run" convert -n -S 0 -f raw -O qcow2 source image'
trial "commit" "$overlay; \"\$run\" commit top"
trial "commit, threads" "$overlay; \"\$run\" commit -d -b image top"
trial "rebase" '"$REF" create -q -f qcow2 base 16M
"$REF_IO" -c "write -P 3 6M 1M" base; "$REF" create -q -f qcow2 other 16M
"$REF" rebase -u -b base -F qcow2 image; "$run" rebase -b other -F qcow2 image'
trial "bench -w" '"$run" bench -w -f qcow2 -c 20 -s 4096 -S 700k -o 2M --pattern=9 image'

# what is committed empties the overlay, but not its bitmaps
"$REF" create -q -f qcow2 -b start -F qcow2 top
"$REF" bitmap --add -g 16k top on
"$REF_IO" -c "write -P 7 300k 100k" top >/dev/null
bitmaps_seen top >was
good "$IMG" commit -q top
bitmaps_seen top >is
checked
cmp -s was is || bad "commit: the overlay's bitmap has changed"
image_clean top

# snapshots and sizes
cp --sparse=always start image
"$REF_IO" -c "write 1M 64k" image >/dev/null
cp --sparse=always image theirs.image
bitmaps_seen image >was
good "$IMG" snapshot -c s image
bitmaps_seen image >is
checked
cmp -s was is || bad "snapshot -c: bitmaps have changed"
checked
"$IMG" snapshot -a s image 2>/dev/null && bad "snapshot -a, with bitmaps"
good "$IMG" snapshot -d s image
image_clean image
for size in 20M 7M 7340544 16M; do
    good "$IMG" resize -q --shrink image $size
    "$REF" resize -q --shrink theirs.image $size
    bitmaps_same "resize to $size" image theirs.image
    image_clean image
done
finish
