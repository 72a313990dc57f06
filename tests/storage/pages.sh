#!/bin/bash
# Hosts whose memory pages have 64 KiB: ranks leave the ends of what they write to rank 0 by that
# size, and write the same bytes; by no two ranks is a part of one such page written. (The kernel here
# has small pages: MPI_IMG_PAGE says otherwise.)
. "$(dirname "$0")/../lib.sh"
. "$TESTS/same-bytes/engines.bash"
need_mpi
need strace
scratch 400
guest "$T/guest"
cd "$T"
strace -qq true 2>/dev/null || skip "strace may not trace here"
export MPI_IMG_PAGE=65536

printf '#!/bin/sh\nexec strace -f -qq -y -o %s/rank.$PMIX_RANK -e trace=pwrite64,io_submit "$@"\n' "$T" >traced
printf '#!/bin/sh\n[ $PMIX_RANK = 0 ] && unset MPI_IMG_PAGE\nexec "$@"\n' >mixed
chmod +x traced mixed

# Pages that more than one rank has written to.
shared() {
    local k
    for k in 0 1 2; do
        sed -n "s|.*pwrite64([0-9]*<[^>]*target[^>]*>, .*, \([0-9]*\), \([0-9]*\)) = .*|\1 \2|p" rank.$k |
            awk -v k=$k '$1 { for (p = int($2 / 65536); p <= int(($2 + $1 - 1) / 65536); p++) print p, k }'
    done | sort -u | cut -d' ' -f1 | uniq -d | wc -l
}

try_format() {
    local what=$1
    shift
    good env -u MPI_IMG_PAGE "$IMG" convert -f raw "$@" guest target
    mv target alone
    good ranks 3 ./traced "$IMG" convert -f raw "$@" guest target && cmp target alone ||
        bad "$what: other bytes"
    checked
    [ "$(cat rank.* | grep -c 'pwrite64.*target')" -gt 10 ] && [ "$(shared)" = 0 ] ||
        bad "$what: $(shared) pages are written by more than one rank"
    rm -f target alone rank.*
}

try_format qcow2 -O qcow2
try_format "qcow2, packed" -c -O qcow2
try_format "qcow2, small clusters" -O qcow2 -o cluster_size=4k
try_format vmdk -O vmdk
try_format "vmdk, packed" -c -O vmdk -o subformat=streamOptimized
try_format vhdx -O vhdx
try_format raw -O raw
try_format "vpc, fixed" -O vpc -o subformat=fixed

try ranks 2 ./mixed "$IMG" convert -f raw -O qcow2 guest target
checked
[ $rc = 1 ] && grep -q "memory pages of 65536 bytes, that of rank 0 of 4096" .err ||
    bad "hosts of both kinds: $rc, $(cat .err)"
finish
