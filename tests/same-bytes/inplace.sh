#!/bin/bash
# commit and convert -n on one thread, on several, on several ranks: the guest reads the same; other
# ranks wait for the first, say nothing, and end with its exit code.
. "$(dirname "$0")/../lib.sh"
need_reference
need_ours
need_mpi
scratch 200
cd "$T"

"$REF" create -q -f qcow2 base0 24M
"$REF_IO" -c 'write -q -P 1 0 5M' base0
cp base0 base
"$REF" create -q -f qcow2 -b base -F qcow2 top0 24M
"$REF_IO" -c 'write -q -P 2 1M 3000k' -c 'write -q -z 9M 2M' -c 'write -q -P 3 17001k 77k' top0
cp base0 base
"$REF" convert -O raw top0 model

commit_on() {
    local name=$1
    shift
    cp base0 base
    cp top0 top
    try "$@" commit top
    checked
    [ "$rc/$(cat "$T/.out")" = "0/Image committed." ] || bad "$name: exit $rc: $(cat "$T/.out" "$T/.err")"
    "$REF" compare -q -f raw -F qcow2 model base || bad "$name: commit: another content"
    "$REF" check -q base || bad "$name: commit: check: $?"
    cp base0 base
    "$REF" create -q -f qcow2 target 24M
    "$REF_IO" -c 'write -q -P 9 0 24M' target
    try "$@" convert -n -O qcow2 top0 target
    checked
    [ $rc = 0 ] || bad "$name: exit $rc: $(cat "$T/.err")"
    "$REF" compare -q -f raw -F qcow2 model target || bad "$name: convert -n: another content"
    "$REF" check -q target || bad "$name: convert -n: check: $?"
}

engine() {
    local words=$1 command=$2
    shift 2
    # shellcheck disable=SC2086  # words
    "$IMG" "$command" $words "$@"
}

commit_on "one thread" engine --engine=serial
commit_on "seven threads" engine --threads=7
commit_on "three ranks" ranks 3 "$IMG"

try ranks 3 "$IMG" commit missing
checked
[ $rc = 1 ] && [ "$(grep -c 'Could not open' "$T/.err")" = 1 ] || bad "a missing image: exit $rc: $(cat "$T/.err")"
"$REF" create -q -f vmdk short 1M
"$REF" create -q -f qcow2 -b short -F vmdk top 3M
try ranks 3 "$IMG" commit top
checked
[ $rc = 1 ] && grep -q 'Block job failed' "$T/.err" || bad "a base that cannot grow: exit $rc: $(cat "$T/.err")"
finish
