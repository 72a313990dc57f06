#!/bin/bash
# 64 ranks on a machine of few cores: they work, and write the same bytes.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/cluster/nodes.bash"
. "$TESTS/same-bytes/engines.bash"
need_ours
scratch 2000
cd "$T"
guest guest
good "$IMG" convert -f raw -O qcow2 guest alone
tried=0
for mpi in $(mpis); do
    tried=$((tried + 1))
    begin=$SECONDS
    # shellcheck disable=SC2046  # a list of words
    good $(launcher_of "$mpi") -n 64 "$IMG" convert --threads 1 -f raw -O qcow2 guest target
    cmp target alone || bad "$mpi: other bytes than alone"
    echo "$mpi: 64 ranks: $((SECONDS - begin)) s"
    rm -f target
done
[ $tried -gt 0 ] || skip "no MPI"
finish
