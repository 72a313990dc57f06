# Images changed in place, by turns with the original.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../../lib.sh"
# shellcheck source=tests/formats/edit.bash
. "$(dirname "$0")/../edit.bash"
need_reference
need_ours # the original writes zeros where it could leave holes; it is not what is tested
scratch 200
cd "$T"

storm vdi
storm vdi static=on

# Places that a stop left unused are taken first: other programs go by the count of blocks.
"$REF" create -q -f vdi image $EDIT_SIZE
"$REF_IO" -f vdi -c 'write -P 1 0 2M' image >/dev/null
patch_bytes image 512 ffffffff # the first block is lost, the second at index 1
truncate -s $EDIT_SIZE model
"$REF_IO" -f raw -c 'write -P 1 1M 1M' -c 'write -P 2 3M 1M' model >/dev/null
good "$IMG" convert -n -f raw -O vdi model image
agrees "a gap is filled" vdi
both vdi image 'write -P 3 5M 64k'
agrees "the original goes on behind it" vdi
finish
