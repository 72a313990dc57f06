# Sourced by the scripts of this folder: what every storage must show when several clients write one
# file there. The script says how to get at the clients; commands run in the folder on the storage:
#
#   clients=N               how many there are, and
#   on K CMD...             run there, on client K (1..N); one word is a line for a shell
#   all CMD...              the same program on all of them, one rank each
#   bring FILE NAME         copy it there
#   stored FILE             sha256 of a file, read past the clients if that is possible
#
#   trial_guest             the source: here as $T/here/guest, and on the storage
#   trial_formats           conversions: content right, same bytes as alone on local disk
#   trial_verify            --verify, --hash: each chunk read back by another client
#   trial_modes             cache modes, an existing image at an odd offset, stale names
#   trial_clean             after them: no page of source or target is left in a client's cache; no stray files
# shellcheck shell=bash

SEED="env MPI_IMG_SEED=1"

# local_convert NAME ARGS...: what is expected, made here by one process. A vmdk holds its own name.
local_convert() {
    local name=$1
    shift
    (cd "$T/here" && good $SEED "$IMG" convert "$@" guest "$name")
}

# expect NAME WHAT: the file of that name on the storage is that here
expect() {
    checked
    [ "$(stored "$1")" = "$(hash_of "$T/here/$1")" ] || bad "$2: other bytes than on local disk"
}

trial_guest() {
    local mib=1048576
    mkdir -p "$T/here"
    truncate -s $((24 * mib + 3 * 512)) "$T/here/guest"
    put "$T/here/guest" 0 text $((3 * mib + 100)) 1
    put "$T/here/guest" $((4 * mib - 5)) noise $((5 * mib)) 2
    put "$T/here/guest" $((12 * mib)) zero $((2 * mib))
    put "$T/here/guest" $((15 * mib + 4096)) noise $((3 * mib + 77)) 3
    put "$T/here/guest" $((24 * mib - 700)) text 2000 4
    bring "$T/here/guest" guest
    expect guest "the source"
}

# one WHAT NAME ARGS...: converted by all clients, compared, removed on the storage
one() {
    local what=$1 name=$2
    shift 2
    local_convert "$name" "$@" || return 0
    good all $SEED "$IMG" convert "$@" guest "$name" || return 0
    expect "$name" "$what"
    on 1 "rm $name*"
}

trial_formats() {
    one qcow2 disk.qcow2 -f raw -O qcow2
    one "qcow2, small clusters" small.qcow2 -f raw -O qcow2 -o cluster_size=2k
    one vmdk disk.vmdk -f raw -O vmdk
    one "vpc, fixed: its footer is in the last page of the data" disk.vhd -f raw -O vpc -o subformat=fixed
}

trial_verify() {
    local_convert verified -c -f raw -O qcow2
    try all $SEED "$IMG" convert --verify --hash -c -f raw -O qcow2 guest verified
    checked
    [ $rc = 0 ] && [ "$(cut -d' ' -f1 "$T/.out")" = "$("$IMG" hash -f raw "$T/here/guest" | cut -d' ' -f1)" ] ||
        bad "--verify: $rc, $(cat "$T/.out" "$T/.err")"
    expect verified --verify
    on 1 "rm verified"
}

trial_modes() {
    one "without the page cache" direct -t none -T none -f raw -O qcow2
    one "unsafe" unsafe -t unsafe -f raw -O qcow2

    # chunks that begin inside of pages: whoever writes, no byte of a neighbour may be lost
    truncate -s 26M "$T/here/window"
    on 1 "truncate -s 26M window"
    local into='driver=raw,offset=1536,file.driver=file,file.filename=window'
    (cd "$T/here" && good "$IMG" convert -n --target-image-opts -f raw guest "$into")
    good all "$IMG" convert -n --target-image-opts -f raw guest "$into" && expect window "at an odd offset"
    on 1 "rm window"

    # one name again and again: no client may take the file of before for that of now
    local i
    for i in 1 2; do
        put "$T/here/guest" $((i * 5000000)) text 3000 "$i"
        bring "$T/here/guest" guest
        local_convert again -f raw -O raw
        good all $SEED "$IMG" convert -f raw -O raw guest again && expect again "the same name, round $i"
    done
}

# Of 24 MiB that were read and 24 MiB that were written by all of them together, nothing is left in
# the caches but what the kernel had read ahead for a chunk that another client read then.
trial_clean() {
    local k left caches=
    for ((k = 1; k <= clients; k++)); do
        left=$(on $k "fincore -n -b -o RES guest again" | awk '{ n += $1 } END { print n + 0 }') || left=
        [ -n "$left" ] || { echo "note: no fincore, what stays in caches is not looked at"; break; }
        caches+=" $left"
        checked
        [ "$left" -le $((6 * 1048576)) ] || bad "client $k has $left bytes in its page cache"
    done
    echo "bytes left in the page caches of the clients:$caches"
    checked
    left=$(on 1 "rm again; ls -A" | grep -vxE 'guest|lost[+]found' || true)
    [ -z "$left" ] || bad "left behind: $left"
}
