# Images changed in place, by turns with the original.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../../lib.sh"
# shellcheck source=tests/formats/edit.bash
. "$(dirname "$0")/../edit.bash"
need_reference
need_ours # the original writes zeros where it could leave holes; it is not what is tested
scratch 200
cd "$T"

storm parallels
storm parallels cluster_size=64k
storm parallels cluster_size=32256 # 63 sectors

# Before images counted clusters, they counted sectors.
"$REF" create -q -f parallels -o cluster_size=64k image $EDIT_SIZE
patch_bytes image 0 "$(printf WithoutFreeSpace | od -An -tx1 | tr -d ' \n')"
rm -f model
truncate -s $EDIT_SIZE model
turns "old magic" parallels

# An image that somebody has not closed is not written to.
patch_bytes image 44 596e6f74
try "$IMG" convert -n -f raw -O parallels model image
checked
[ $rc = 1 ] && grep -q 'Image was not closed correctly; cannot be opened read/write' .err ||
    bad "an image in use: exit $rc: $(cat .err)"
finish
