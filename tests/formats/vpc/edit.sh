# Images changed in place, by turns with the original.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../../lib.sh"
# shellcheck source=tests/formats/edit.bash
. "$(dirname "$0")/../edit.bash"
need_reference
need_ours # the original writes zeros where it could leave holes; it is not what is tested
scratch 200
cd "$T"

storm vpc force_size=on
storm vpc force_size=on,subformat=fixed

# The file ends with a footer, right behind the last block; all of it is kept as it was.
"$REF" create -q -f vpc -o force_size=on image $EDIT_SIZE
head -c 512 image >footer
truncate -s 0 model
truncate -s $EDIT_SIZE model
put model 100000 noise 100000
put model 5000000 noise 1000
good "$IMG" convert -n -f raw -O vpc model image
checked
[ "$(stat -c %s image)" = $((2048 + 2 * (512 + 2097152) + 512)) ] ||
    bad "the file has $(stat -c %s image) bytes"
tail -c 512 image | cmp -s - footer || bad "the footer has changed"

# Differencing images: sectors of the parent become this image's own with the block.
need perl
make="$TESTS/formats/vpc/make-differencing"
"$REF" create -q -f vpc -o force_size=on parent.vhd $EDIT_SIZE
"$REF_IO" -f vpc -c 'write -P 1 0 3M' -c 'write -P 2 5M 1M' parent.vhd >/dev/null
cp parent.vhd parent.keep
"$REF" create -q -f vpc -o force_size=on image $EDIT_SIZE
"$REF_IO" -f vpc -c 'write -P 3 1k 5k' image >/dev/null
perl "$make" image parent.vhd 'W2ru=parent.vhd'
"$IMG" convert -f vpc -O raw image model
"$REF_IO" -f raw -c 'write -P 4 3k 1k' -c 'write -P 5 4500k 600k' -c 'write -z 2500k 10k' model \
    >/dev/null
cp model source
good "$IMG" convert -n -f raw -O vpc source image
good "$IMG" compare -f vpc -F raw image model
cmp -s parent.vhd parent.keep || bad "the parent was written to"
# ... and parts of blocks, through a commit (whole clusters: the original knows no parent)
"$REF" create -q -f vpc -o force_size=on image $EDIT_SIZE
"$REF_IO" -f vpc -c 'write -P 3 1k 5k' -c 'write -P 8 2M 3M' image >/dev/null
perl "$make" image parent.vhd 'W2ru=parent.vhd'
"$IMG" convert -f vpc -O raw image model
"$REF" create -q -u -f qcow2 -b image -F vpc top $EDIT_SIZE
for file in top model; do
    "$REF_IO" -f "$([ $file = top ] && echo qcow2 || echo raw)" -c "write -P 6 64k 64k" \
        -c "write -P 7 3M 64k" -c "write -P 5 5M 128k" $file >/dev/null
done
good "$IMG" commit -q top
good "$IMG" compare -f vpc -F raw image model
cmp -s parent.vhd parent.keep || bad "the parent was written to"
finish
