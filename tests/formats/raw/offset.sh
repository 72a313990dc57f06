#!/bin/bash
# raw: a window of a file is read and written where it is, by any number of ranks.
. "$(dirname "$0")/../../lib.sh"
need_reference
scratch 100
cd "$T"
pattern noise 3000000 1 >part
truncate -s %4096 part
pattern noise 9000000 2 >old
at=1048576
window=driver=raw,offset=1M,size=6M,file.driver=file,file.filename

# writes_there CMD...: into the window of a fresh copy
writes_there() {
    cp old store
    good "$@" convert -n --target-image-opts -f raw part $window=store || return 0
    cmp -n $at old store || bad "before the window: $*"
    cmp -i 0:$at -n "$(stat -c %s part)" part store || bad "in the window: $*"
    tail -c +$((at + $(stat -c %s part) + 1)) old | cmp - <(tail -c +$((at + $(stat -c %s part) + 1)) store) ||
        bad "behind the data: $*"
}
writes_there "$IMG"
if command -v mpirun >/dev/null && ! is_reference; then
    writes_there ranks 3 "$IMG"
fi
good "$IMG" convert --image-opts -O raw $window=store out
cmp -i $at:0 -n 6291456 store out || bad "read: other bytes"
[ "$(stat -c %s out)" = 6291456 ] || bad "read: $(stat -c %s out) bytes"
finish
