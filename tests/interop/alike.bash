# Sourced by the tests of this folder: one command, both programs, one answer.
# shellcheck shell=bash

# alike ARGS...: both programs, one answer.
alike() {
    local rc_ref=0
    "$REF" "$@" >theirs.out 2>theirs.err </dev/null || rc_ref=$?
    try "$IMG" "$@"
    checked
    sed -i "s/^$(basename "$IMG"): /qemu-img: /" "$T/.err"
    sed -i '$a\' theirs.err # some of its hints end without a newline
    [ $rc = $rc_ref ] || bad "exit $rc, not $rc_ref: $*"
    diff -u theirs.out "$T/.out" >"$T/diff" || differs stdout "$*"
    diff -u theirs.err "$T/.err" >"$T/diff" || differs stderr "$*"
}

differs() {
    bad "other $1: $2"
    head -n 20 "$T/diff" >&2
}
