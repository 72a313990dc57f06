# Sourced by the tests of this folder: a guest, and what makes images out of it.
# shellcheck shell=bash
make_udif=$TESTS/formats/dmg/make-udif

# 2 MB: data that packs, data that does not, zeros in between; the last chunk is a short one.
guest() {
    pattern text 700000 >raw
    put raw 700416 noise 300032
    put raw 1835008 text 165376 2
    truncate -s 2000384 raw
}

udif() {
    perl "$make_udif" "$@"
}

# reference ARGS...: the original, without its words on modules that this machine lacks.
reference() {
    "$REF" "$@" 2> >(grep -v -e '^qemu: module' -e 'warning: ' >&2)
}
