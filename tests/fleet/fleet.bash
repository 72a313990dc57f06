# Fleets, for the tests: images to convert, and what they must become. Source after tests/lib.sh.
# shellcheck shell=bash disable=SC2154

need_ours

# small N [FROM]: images in/0.qcow2 and on, of 1 to 8 MiB, each with content of its own; some are
# compressed, some vmdk, some raw.
small() {
    local i raw
    mkdir -p "$T/in"
    for ((i = ${2:-0}; i < ${2:-0} + $1; i++)); do
        raw=$T/in/$i.raw
        truncate -s $((1 + i % 8))M "$raw"
        put "$raw" $((i * 4096 % 524288)) text $((1 + i % 5))00000 "$i"
        case $((i % 4)) in
        0) ;;
        1) "$IMG" convert -O qcow2 "$raw" "$T/in/$i.qcow2" && rm "$raw" ;;
        2) "$IMG" convert -c -O qcow2 "$raw" "$T/in/$i.qcow2" && rm "$raw" ;;
        3) "$IMG" convert -O vmdk "$raw" "$T/in/$i.vmdk" && rm "$raw" ;;
        esac
    done
}

# manifest FOLDER: JSON lines for all of in/: their targets in FOLDER, in formats by turns.
manifest() {
    local f name i=0
    mkdir -p "$T/$1"
    for f in "$T"/in/*; do
        name=$(basename "$f")
        case $((i++ % 4)) in
        0) echo "{\"source\":\"in/$name\",\"target\":\"$1/$name.qcow2\",\"target_format\":\"qcow2\"}" ;;
        1) echo "{\"source\":\"in/$name\",\"target\":\"$1/$name.out\",\"hash\":true,\"id\":\"n $i\"}" ;;
        2) echo "{\"source\":\"in/$name\",\"target\":\"$1/$name.qcow2\",\"target_format\":\"qcow2\",\"compress\":true}" ;;
        3) echo "{\"source\":\"in/$name\",\"target\":\"$1/$name.vhdx\",\"target_format\":\"vhdx\",\"verify\":true}" ;;
        esac
    done
}

# field RECORD-KEY < results: the values of a key in the records of images, one a line.
field() {
    perl -ne 'next unless /^\{"record":"image"/;
        print "$1\n" if /"'"$1"'":("(?:[^"\\]|\\.)*"|[^,}\]]*)/'
}

# records KIND FILE: how many there are.
records() {
    grep -c "^{\"record\":\"$1\"" "$2" || true
}

# said TEXT: the last command has said this, on standard output or error.
said() {
    checked
    grep -qF -e "$1" "$T/.out" "$T/.err" && return
    bad "not said: $1"
    sed 's/^/    /' "$T/.out" "$T/.err" >&2
}

# ended CODE: the last command's exit code.
ended() {
    checked
    [ "$rc" = "$1" ] && return
    bad "exit $rc, not $1"
    sed 's/^/    /' "$T/.out" "$T/.err" >&2
}
