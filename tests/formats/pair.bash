# Sourced by tests of formats that the original reads and writes too: what both programs make of one
# image, and of the same options.
# shellcheck shell=bash
. "$TESTS/interop/fixtures.bash"
. "$TESTS/interop/alike.bash"

# looks FORMAT IMAGE: all that only looks.
looks() {
    local args
    for args in info "info --output=json" map "map --output=json" check "check --output=json" \
        "compare -s -F $1 $2"; do
        # shellcheck disable=SC2086  # words
        alike $args -f "$1" "$2"
    done
}

# reads FORMAT IMAGE: every byte, and the format is guessed too.
reads() {
    "$REF" convert -f "$1" -O raw "$2" theirs
    good "$IMG" convert -O raw "$2" ours || return 0
    cmp ours theirs || bad "$2: read otherwise"
    rm -f ours theirs
}

# judge WHAT FORMAT IMAGE SOURCE: the original's verdict on an image of ours.
judge() {
    local rc=0
    checked
    "$REF" check -q -f "$2" "$3" >/dev/null 2>&1 || rc=$?
    [ $rc = 0 ] || [ $rc = 63 ] || bad "$1: check says $rc"
    "$REF" compare -q -F "$2" "$4" "$3" || bad "$1: the original finds a difference"
    good "$IMG" compare -q -F "$2" "$4" "$3" || bad "$1: we find a difference"
}

# created FORMAT ARGS...: the same words; how both made it is in made.theirs and made.ours.
created() {
    local format=$1
    shift
    rm -f made made.*
    alike create -f "$format" "$@"
    [ ! -e made ] || mv made made.ours
    "$REF" create -q -f "$format" "$@" >/dev/null 2>&1 && mv made made.theirs || true
}

# refused WHAT ARGS...: exit 1, one line of error, no crash.
refused() {
    local what=$1
    shift
    try timeout 20 "$IMG" "$@"
    checked
    if [ $rc != 1 ] || [ "$(grep -vc "^Try the \|^The unfinished output" "$T/.err")" != 1 ]; then
        bad "$what: exit $rc: $* $(head -n 5 "$T/.err")"
    fi
}

# survives WHAT ARGS...: whatever it says of a damaged image, in an orderly way.
survives() {
    local what=$1
    shift
    try timeout 20 "$IMG" "$@"
    checked
    case $rc in
    0 | 1 | 2 | 3 | 4 | 63) ;;
    *) bad "$what: exit $rc: $*" ;;
    esac
    ! grep -qE 'Sanitizer|runtime error|Assertion' "$T/.err" || bad "$what: $* $(head -n 5 "$T/.err")"
}
