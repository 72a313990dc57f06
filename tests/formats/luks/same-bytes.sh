#!/bin/bash
# luks and encrypted qcow2: the same bytes on any engine, once a seed fixes what is drawn.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/crypt.bash"
. "$TESTS/same-bytes/engines.bash"
need_mpi
need_reference
scratch 700
guest "$T/guest"
"$IMG" create -q -f luks "${SECRET[@]}" -o key-secret=s "$T/probe" 1M 2>"$T/.err" || skip "$(cat "$T/.err")"

# instead of engines.bash's: the original needs the key
right() {
    equal "$1" "$REF" "$2" "$T/serial.out" "$T/guest"
}

same luks luks "${SECRET[@]}" -o key-secret=s -f raw "$T/guest"
same "luks, -S 0" luks "${SECRET[@]}" -S 0 -o key-secret=s,cipher-alg=cast5-128,cipher-mode=cbc -f raw "$T/guest"
for options in encrypt.format=aes encrypt.format=luks encrypt.format=luks,cluster_size=512 \
    encrypt.format=luks,preallocation=metadata encrypt.format=luks,extended_l2=on,cluster_size=2M; do
    same "$options" qcow2 "${SECRET[@]}" -o encrypt.key-secret=s,$options -f raw "$T/guest"
done
finish
