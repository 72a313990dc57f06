# Images changed in place, by turns with the original.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../../lib.sh"
# shellcheck source=tests/formats/edit.bash
. "$(dirname "$0")/../edit.bash"
need_reference
need_ours # the original writes zeros where it could leave holes; it is not what is tested
scratch 200
cd "$T"

storm qcow
over_base qcow

# Compressed clusters become plain ones where they are written to.
truncate -s 0 model
truncate -s $EDIT_SIZE model
put model 0 text 3000000
good "$IMG" convert -c -f raw -O qcow model image
agrees "compressed" qcow
turns "compressed" qcow

# A commit leaves an image with nothing in it, as long as a new one.
"$REF" create -q -f qcow -b base -F raw fresh
"$REF" create -q -f qcow -b base -F raw image
"$REF_IO" -f qcow -c 'write -P 5 1M 100k' image >/dev/null
good "$IMG" commit -q -f qcow image
checked
[ "$(stat -c %s image)" -le "$(stat -c %s fresh)" ] || bad "$(stat -c %s image) bytes are left"

# The same of an image that we made.
good "$IMG" create -q -f qcow -b base -F raw image
"$REF_IO" -f qcow -c 'write -P 6 1M 100k' image >/dev/null
good "$IMG" commit -q -f qcow image
cp base model
agrees "emptied" qcow
finish
