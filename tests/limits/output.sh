#!/bin/bash
# The output's place: new files are whole or absent, keep mode and owner, links and devices stay.
. "$(dirname "$0")/../lib.sh"
need_reference
need_ours
scratch 300
cd "$T"
pattern text 3000000 >raw
truncate -s 8M raw

umask 027
good "$IMG" convert -f raw -O qcow2 raw new || true
[ "$(stat -c %a new)" = 640 ] || bad "a new file has mode $(stat -c %a new), not as umask says"
umask 022
echo old >kept
chmod 604 kept
[ "$(id -u)" != 0 ] || chown 1:1 kept
was=$(stat -c '%a %u %g' kept)
good "$IMG" convert -f raw -O qcow2 raw kept || true
[ "$(stat -c '%a %u %g' kept)" = "$was" ] || bad "mode or owner changed: $was, now $(stat -c '%a %u %g' kept)"

mkdir deep
echo old >deep/file
ln -s deep/file link
good "$IMG" convert -f raw -O raw raw link || true
[ -L link ] || bad "the link was replaced, not what it points to"
cmp raw deep/file || bad "through the link: wrong bytes"
ln -s deep/nowhere dangling
good "$IMG" convert -f raw -O raw raw dangling || true
cmp raw deep/nowhere || bad "through a dangling link: wrong bytes"

# a part that a killed run has left is in nobody's way
echo stale >new2.mpi-img-part
good "$IMG" convert -f raw -O raw raw new2 || true
cmp raw new2 || bad "beside a stale part: wrong bytes"
[ ! -e new2.mpi-img-part ] || bad "the stale part is still there"

# two runs onto one name: one wins whole, the other says why
pattern noise $((48 * 1048576)) >large
"$IMG" convert -r 8M -f raw -O raw large twice &
first=$!
sleep 0.5
try "$IMG" convert -f raw -O raw raw twice
checked
[ $rc = 1 ] || bad "a second run onto the same name: exit $rc"
wait $first || bad "the first run was disturbed"
cmp large twice || bad "two runs: wrong bytes"

# a device keeps its name
if device=$(losetup -f --show deep/file 2>/dev/null); then
    at_exit+=("losetup -d $device")
    good "$IMG" convert -f raw -O raw raw "$device" || true
    cmp raw "$device" || bad "onto a device: wrong bytes"
else
    echo "note: no loop device, writing to one is not tried"
fi
parts=(*part*)
[ ${#parts[@]} = 0 ] || bad "left behind: ${parts[*]}"
finish
