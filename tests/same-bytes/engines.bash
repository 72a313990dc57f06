# Sourced by the tests of this folder: one command on every engine must give one result.
# shellcheck shell=bash

# identifiers and times are drawn once a run: the same in all runs here
export MPI_IMG_SEED=1

engines=(serial threads-2 threads-5 ranks-2 ranks-3 ranks-5)

# on ENGINE SUBCOMMAND ARGS...: the program's subcommand on that engine. Those that are not shared
# out (check) must still answer once, whatever the number of ranks.
on() {
    local engine=$1 sub=$2
    shift 2
    case $sub,$engine in
    check,ranks-*) ranks "${engine#*-}" "$IMG" check "$@"; return ;;
    check,*) "$IMG" check "$@"; return ;;
    esac
    case $engine in
    serial) "$IMG" "$sub" --engine=serial "$@" ;;
    threads-*) "$IMG" "$sub" --engine=threads --threads "${engine#*-}" "$@" ;;
    ranks-*) ranks "${engine#*-}" "$IMG" "$sub" --threads 2 "$@" ;;
    esac
}

# A guest with all that a converter must tell apart, of an odd size: data that packs and data that
# does not, zeros that are stored and holes, runs shorter than a cluster, a last partial sector.
guest() {
    local f=$1 mib=1048576
    truncate -s $((70 * mib + 5 * 512 + 77)) "$f"
    put "$f" 0 text 700000 1
    put "$f" $((1 * mib)) noise 300000 2
    put "$f" $((2 * mib + 100)) text 50
    put "$f" $((3 * mib)) zero $((2 * mib))
    put "$f" $((6 * mib + 65536)) noise 65536 3
    put "$f" $((6 * mib + 131072)) text 65536 4
    put "$f" $((9 * mib - 3)) noise 7 5
    put "$f" $((20 * mib)) text $((4 * mib)) 6
    put "$f" $((40 * mib + 12345)) noise $((5 * mib / 2)) 7
    put "$f" $((64 * mib - 512)) text 1024 8
    put "$f" $((70 * mib)) noise $((5 * 512 + 77)) 9
}

# formats: those that the program can create, by asking it.
formats() {
    local f
    for f in $("$IMG" --help | sed -n 's/^Supported formats: *//p'); do
        if "$IMG" create -q -f "$f" "$T/probe" 1M >/dev/null 2>&1; then
            echo "$f"
        fi
        rm -f "$T/probe"
    done
}

# same NAME FORMAT ARGS...: convert with ARGS on every engine; the bytes must be one. So is the name
# of the target: a vmdk holds its own.
same() {
    local name=$1 format=$2 engine first= hash
    shift 2
    for engine in "${engines[@]}"; do
        good on "$engine" convert -O "$format" "$@" "$T/target" || continue
        mv "$T/target" "$T/$engine.out"
        hash=$(hash_of "$T/$engine.out")
        : "${first:=$hash}"
        [ "$hash" = "$first" ] || bad "$name: $engine differs from ${engines[0]}"
        [ "$engine" = serial ] || rm -f "$T/$engine.out"
    done
    [ ! -e "$T/serial.out" ] || right "$name" "$format"
    rm -f "$T"/*.out
}

# The one result must also be right, or equal hashes would prove little.
right() {
    command -v "$REF" >/dev/null || return 0
    checked
    "$REF" compare -q -f raw -F "$2" "$T/guest" "$T/serial.out" || bad "$1: not what went in"
}
