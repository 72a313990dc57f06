#!/bin/bash
# --safe on several ranks: one refusal, in one line, and no rank has opened what rank 0 refused to.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/safe/safe.bash"
need_mpi
scratch 100
cd "$T"
pattern text 3000000 >data
"$IMG" convert -f raw -O qcow2 data image
printf 'the host password' >secret
truncate -s 4M secret
"$IMG" create -q -u -f qcow2 -b secret -F raw bad 4M

refused qcow2.backing-file ranks 3 "$IMG" convert --safe -f qcow2 -O raw bad out
[ ! -e out ] || bad "there is an output"
refused qcow2.backing-file ranks 3 "$IMG" compare --safe -f qcow2 -F qcow2 image bad
refused qcow2.backing-file ranks 3 "$IMG" map --safe -f qcow2 bad
refused virtual-size ranks 3 "$IMG" convert --max-size 1M -f qcow2 -O raw image out
passes ranks 3 "$IMG" convert --safe --max-size 4M -f qcow2 -O qcow2 image out
cmp -s image out || bad "other bytes than on one rank"
"$IMG" convert -f raw -O qcow2 image nested
refused format-single ranks 3 "$IMG" convert --safe -f qcow2 -O raw nested out.raw
[ ! -e out.raw ] || bad "there is an output"

# which ranks open what is refused, and does any open the file that it names?
if command -v strace >/dev/null; then
    printf '#!/bin/sh\nexec strace -f -e trace=open,openat -o rank.$PMIX_RANK "$@"\n' >traced
    chmod +x traced
    try ranks 3 ./traced "$IMG" convert --safe -f qcow2 -O raw bad out
    grep -hE '"([^"]*/)?(bad|secret)"' rank.* >opened || true
    checked
    [ "$(grep -c 'bad"' opened)" = 1 ] || bad "opened: $(cat opened)"
    ! grep 'secret"' opened || bad "the file that the image names was opened"
else
    echo "note: no strace, the files opened are not looked at"
fi
finish
