#!/bin/bash
# vdi, damaged: the original's words where it refuses too, the same lines of check; in any case one
# line, no crash, an end.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/interop/alike.bash"
need_reference
need perl
scratch 100
cd "$T"

survive() { # every reading subcommand on `bad`
    local args
    for args in "info bad" "map --output=json bad" "convert -f vdi -O raw bad out" "check bad" \
        "compare -f vdi -F vdi bad good"; do
        # shellcheck disable=SC2086  # words
        try timeout -k 5 20 "$IMG" $args
        checked
        if { [ $rc -gt 4 ] && [ $rc != 63 ]; } || grep -qE 'Sanitizer|runtime error' .err; then
            bad "exit $rc: $args: $1: $(tail -n 3 .err)"
        elif [ $rc = 1 ] && [ "$(grep -c '^[a-z-]*img: ' .err)" -gt 1 ]; then
            bad "not one line: $args: $1: $(cat .err)"
        fi
        rm -f out
    done
}

damage() { # [OFFSET HEX]...
    local story=$*
    cp good bad
    while [ $# -gt 0 ]; do
        patch_bytes bad "$1" "$2"
        shift 2
    done
    survive "$story"
}

refuse() { # the same, and the original says the same
    damage "$@"
    alike info -f vdi bad
    alike check -f vdi bad
    alike check --output=json -f vdi bad
    alike map -f vdi bad
    alike map --output=json -f vdi bad
}

"$REF" create -q -f vdi good $((5 * 1048576 + 700))
"$REF_IO" -f vdi -c "write -P 1 2M 64k" -c "write -P 2 0 3M" good >/dev/null

# headers
fields=("0x40 00000000" "0x170 00000000000000ff" "0x44 02000100" "0x154 01020000" "0x158 01040000"
    "0x168 00100000" "0x178 00002000" "0x170 0000700000000000" "0x1a8 11" "0x1b8 11"
    "0x180 ffffffff")
for ((i = 0; i < ${#fields[@]}; i++)); do
    # shellcheck disable=SC2086  # words
    refuse ${fields[i]}
    for ((j = i + 1; j < ${#fields[@]}; j++)); do # which of two is told
        # shellcheck disable=SC2086
        damage ${fields[i]} ${fields[j]}
        alike info -f vdi bad
    done
done
for field in "0x44 01000200" "0x44 00000100" "0x48 90010000" "0x48 00010000" "0x4c 02000000" \
    "0x4c 03000000" "0x4c 01000100" "0x50 01000000" "0x154 00040000" "0x158 00000000" \
    "0x158 00020000" "0x170 01040000" "0x170 0000000000000000" "0x17c 00020000" "0x180 07000000" \
    "0x180 05000000" "0x184 ffffffff" "0x188 00000000000000000000000000000000" "0x198 11"; do
    # shellcheck disable=SC2086
    refuse $field
done

# the map
for entries in "0x204 00000000" "0x200 63000000" "0x184 05000000" "0x200 feffffff" \
    "0x204 ffffffff" "0x214 04000000" "0x200 ffffff00" "0x200 03000000" "0x200 fdffffff" \
    "0x200 06000000" "0x208 02000000 0x20c 02000000 0x210 01000000"; do
    # shellcheck disable=SC2086
    refuse $entries
done

damage 0x154 00000000
damage 0x154 00fefff0
damage 0x170 00000000ffff0100 0x180 0000ff1f
for length in 0 1 64 67 68 100 400 511 512 513 535 1100000; do
    head -c $length good >bad
    survive "cut at $length"
done
finish
