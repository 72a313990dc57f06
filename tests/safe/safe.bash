# Sourced by the tests of --safe.
# shellcheck shell=bash

# refused CHECK CMD...: ends with 1 (compare: 2) and one line of ours, which names the check (mpirun has
# its own to say).
refused() {
    local check=$1
    shift
    try "$@"
    checked
    { [ $rc = 1 ] || [ $rc = 2 ]; } || bad "exit $rc, not refused: $*"
    [ "$(grep -c "^${IMG##*/}: " "$T/.err")" = 1 ] || bad "not one line: $*: $(cat "$T/.err")"
    grep -q "Safety check '$check' failed: " "$T/.err" || bad "not by $check: $*: $(cat "$T/.err")"
}

# passes CMD...: as good, but what it prints is of no interest
passes() {
    good "$@" || true
}

# judged CHECK OPTS FILE: refused with --safe, by each command that reads; read without it.
judged() {
    local check=$1 opts=$2 file=$3
    # shellcheck disable=SC2086  # words
    {
        refused "$check" "$IMG" info --safe $opts "$file"
        refused "$check" "$IMG" convert --safe $opts -O raw "$file" out
        [ ! -e out ] || bad "$check: there is an output"
        refused "$check" "$IMG" map --safe $opts "$file"
        passes "$IMG" info $opts "$file"
    }
}

# text_vmdk TYPE EXTENT-LINE...: a descriptor on stdout
text_vmdk() {
    local type=$1
    shift
    printf '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="%s"\n\n' \
        "$type"
    printf '%s\n' "$@"
    printf '\nddb.adapterType = "ide"\n'
}

# into FILE OFFSET: stdin over what is there
into() {
    dd of="$1" bs=1 seek="$(($2))" conv=notrunc status=none
}
