#!/bin/bash
# A client of an NFS server dies, kernel and all, while two convert one image: first another one,
# then that of rank 0. The one that is left goes on with what is there. The server keeps the locks of
# the dead for a while (here 10 s): whoever goes on waits for it.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/storage/uml.bash"
need_uml
uml_scratch 2500

mkdir -p "$T/here"
truncate -s 40M "$T/here/guest"
put "$T/here/guest" 100000 noise 24000000 1
for name in one two; do
    (cd "$T/here" && good env MPI_IMG_SEED=1 "$IMG" convert -f raw -O qcow2 guest $name)
done
uml_up 3
uml_on u1 "cp $T/here/guest guest"

# begun NAME: something of it is in the journal
begun() {
    local limit=$((SECONDS + 60))
    while [ $SECONDS -lt $limit ]; do
        [ "$(uml_on u0 "stat -c %s $1.mpi-img-journal 2>/dev/null || echo 0")" -lt 1500 ] || return 0
        sleep 0.1
    done
    return 1
}

# die NAME uK: kernel uK is gone while u1 and u2 make NAME
die() {
    local job i
    uml_mpirun 2 env MPI_IMG_SEED=1 MPI_IMG_CHECKPOINT=300 \
        "$IMG" convert --resume -r 2M -f raw -O qcow2 guest "$1" >"$T/.out" 2>"$T/.err" &
    job=$!
    checked
    begun "$1" || { kill $job; fail "$1: does not begin: $(uml_on u0 "ls -l") $(cat "$T"/uml/u*/*.err)"; }
    uml_crash "$2"
    for ((i = 0; i < 400; i++)); do
        kill -0 $job 2>/dev/null || break
        sleep 0.1
    done
    checked
    ! kill -0 $job 2>/dev/null || bad "$1: the run does not end"
    wait $job && bad "$1: exit code 0 though $2 is dead"
    checked
    uml_on u0 "[ -e $1.mpi-img-part ] && [ ! -e $1 ]" || bad "$1: no part that could be gone on with"
}

# go_on NAME uK: the same command there, alone
go_on() {
    local start=$SECONDS
    good uml_on "$2" env MPI_IMG_SEED=2 "$IMG" convert --resume -f raw -O qcow2 guest "$1" || return 0
    echo "$1: gone on with on $2, $((SECONDS - start)) s"
    checked
    [ "$(uml_on u0 "sha256sum <$1" | cut -c1-64)" = "$(hash_of "$T/here/$1")" ] || bad "$1: other bytes"
    checked
    [ "$(uml_on "$2" "ls -A | grep $1 | tr '\n' ' '")" = "$1 " ] || bad "$1: something is left behind"
}

die one u2 && go_on one u1
uml_start 2 && uml_wait 2
die two u1 && go_on two u3
finish
