# Sourced by the tests of encrypted images: secrets, and the original's luks images.
# shellcheck shell=bash

SECRET=(--object "secret,id=s,data=abc")

# With a seed ours does not measure how fast the machine hashes; its images are read all the same.
export MPI_IMG_SEED=7

# retry CMD...: the original measures that by a clock that is often too coarse for it.
retry() {
    local i
    for i in 1 2 3 4 5 6 7 8 9 10; do
        "$@" 2>"$T/.retry" && return 0
        grep -q 'accurate CPU usage' "$T/.retry" || break
    done
    cat "$T/.retry" >&2
    return 1
}

# of DRIVER FILE: the options that open an encrypted image.
of() {
    case $1 in
    luks) echo "driver=luks,key-secret=s,file.filename=$2" ;;
    qcow2) echo "driver=qcow2,encrypt.key-secret=s,file.filename=$2" ;;
    esac
}

# equal NAME PROGRAM DRIVER FILE RAW: what it reads there is what is here.
equal() {
    checked
    "$2" compare -q "${SECRET[@]}" --image-opts "$(of "$3" "$4")" "driver=raw,file.filename=$5" ||
        bad "$1: $(basename "$2") reads otherwise"
}
