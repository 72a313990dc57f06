# Sourced after lib.sh: the command lines of programs that call qemu-img, word for word, and what
# they look at in the answers. The program under test is `qemu-img` in PATH, as it is for them.
#
#   IMG=/usr/bin/qemu-img bash tests/callers/glance.sh   the original must pass too
# shellcheck shell=bash

callers_begin() {
    need_reference
    need jq prlimit
    scratch "$1"
    mkdir "$T/bin"
    ln -s "$(readlink -f "$(command -v "$IMG")")" "$T/bin/qemu-img"
    PATH=$T/bin:$PATH
    hash -r
    cd "$T"
}

# disk FILE MIB: guest data with holes, text and noise.
disk() {
    truncate -s "$2M" "$1"
    put "$1" 0 text 300000
    put "$1" $((1 << 20)) noise 700000 2
    put "$1" $((($2 << 20) - 65536)) noise 65536 3
}

# runs CMD...: ends with 0 and is silent on stderr, where callers take any word for an error.
runs() {
    good "$@" || true
}

# key FILTER: of the JSON that the last command printed.
key() {
    jq -r "$1" "$T/.out"
}

# is WHAT FOUND WANTED
is() {
    checked
    [ "$2" = "$3" ] || bad "$1 is '$2', not '$3'"
}

# reads_as IMAGE FORMAT DISK: the guest sees that disk.
reads_as() {
    checked
    "$REF" compare -q -f "$2" -F raw "$1" "$3" || bad "$1 does not read as $3"
}

# progress_ok: what the last command printed is a progress that callers can follow: parts between
# carriage returns, "(12.34/100%)" in each, never backwards, from 0 to 100.
progress_ok() {
    checked
    tr '\r' '\n' <"$T/.out" | sed '/^$/d' >progress
    grep -qvE '^ *\([0-9]{1,3}\.[0-9]{2}/100%\)$' progress && bad "progress: $(head -c 200 progress)"
    sed 's/ *(\(.*\)\/100%)/\1/' progress >percent
    sort -nc percent 2>/dev/null || bad "progress goes backwards: $(tr '\n' ' ' <percent)"
    is "the first progress" "$(head -n 1 percent)" 0.00
    is "the last progress" "$(tail -n 1 percent)" 100.00
}
