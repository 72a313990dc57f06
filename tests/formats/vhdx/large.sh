#!/bin/bash
# 64 TiB: the table is neither held nor walked through where there is nothing.
. "$(dirname "$0")/../../lib.sh"
. "$TESTS/formats/vhdx/common.bash"
need_reference
need_ours
scratch 300
cd "$T"

# in 300 MiB of address space, in so many seconds
lean() {
    local seconds=$1
    shift
    checked
    (ulimit -v 300000 && exec timeout "$seconds" "$IMG" "$@") >.out 2>.err ||
        bad "exit $? in little memory: $*: $(head -n 1 .err)"
}

create raw source 64T
io raw source "write -P 1 0 1M" "write -P 2 32T 1M" "write -P 3 70368743129088 1M"
lean 60 convert -f raw -O vhdx -o block_size=1M,block_state_zero=off --threads=2 source image
checked
[ "$(du -m image | cut -f1)" -lt 20 ] || bad "an empty table takes space"
"$REF" check -q image || bad "check finds fault"
"$REF_IO" -r -f vhdx -c "read -P 2 32T 1M" -c "read -P 3 70368743129088 1M" image | grep -q failed &&
    bad "written otherwise"
lean 60 check image
lean 60 convert -O qcow2 -o cluster_size=2M --threads=2 image out
lean 60 compare -f qcow2 -F vhdx out image
rm -f out image
lean 60 convert -f raw -O vhdx --threads=2 source image
lean 20 compare -f raw -F vhdx source image
lean 20 map --output=json image
finish
