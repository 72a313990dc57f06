# Sourced by the tests of this folder.
# shellcheck shell=bash
. "$TESTS/interop/alike.bash"
BUILD_PL=$TESTS/formats/vmdk/build.pl

build() {
    perl "$BUILD_PL" "$@" || fail "cannot build: $*"
}

# describe TYPE LINE...: a descriptor with these extents, on stdout
describe() {
    printf '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="%s"\n' "$1"
    shift
    printf '%s\n' "$@"
}

# same_words IMAGE: what the original says of it, we say.
same_words() {
    alike info "$1"
    alike info --output=json "$1"
    alike check "$1"
    alike check --output=json "$1"
    alike map "$1"
    alike map --output=json "$1"
}

# same_disk IMAGE RAW: it reads as RAW.
same_disk() {
    good "$IMG" convert -f vmdk -O raw "$1" ours.raw || return 0
    cmp ours.raw "$2" || bad "$1 is read otherwise"
    good "$IMG" compare -q -f vmdk -F raw "$1" "$2" || true
}
