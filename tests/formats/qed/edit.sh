# Images changed in place, by turns with the original.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../../lib.sh"
# shellcheck source=tests/formats/edit.bash
. "$(dirname "$0")/../edit.bash"
need_reference
need_ours # the original writes zeros where it could leave holes; it is not what is tested
scratch 200
cd "$T"

storm qed
storm qed cluster_size=4k,table_size=2 # with 1 the original opens none
over_base qed

# An image that was not closed is put right before it is written to.
"$REF" create -q -f qed image $EDIT_SIZE
"$REF_IO" -f qed -c 'write -P 1 0 1M' -c 'write -P 2 3M 64k' image >/dev/null
second=$(od -An -t u8 -j 65536 -N 8 image)
patch_bytes image $((second + 160)) ffff000000000000 # leads nowhere: dropped
patch_bytes image 16 02
truncate -s 0 model
truncate -s $EDIT_SIZE model
"$REF_IO" -f raw -c 'write -P 9 2M 128k' model >/dev/null
good "$IMG" convert -n -f raw -O qed model image
agrees "need-check" qed
checked
[ "$(od -An -t u8 -j 16 -N 8 image | tr -d ' ')" = 0 ] || bad "the mark is still there"

# Another backing image: the original finds the name.
"$REF" create -q -f raw one.raw $EDIT_SIZE
"$REF" create -q -f qcow2 a-longer-name.qcow2 $EDIT_SIZE
"$REF" create -q -f qed -b one.raw -F raw image
for name in a-longer-name.qcow2:qcow2 one.raw:raw a-longer-name.qcow2:qcow2; do
    good "$IMG" rebase -u -f qed -b "${name%:*}" -F "${name#*:}" image
    checked
    "$REF" info image | grep -q "^backing file: ${name%:*}" || bad "no $name: $("$REF" info image)"
    agrees_info=$("$REF" info image | grep -c '^backing file format: raw' || true)
    [ "$agrees_info" = "$([ "${name#*:}" = raw ] && echo 1 || echo 0)" ] || bad "format of $name"
done
good "$IMG" rebase -u -f qed -b '' image
"$REF" info image | grep -q '^backing file' && bad "there is still a backing file"
finish
