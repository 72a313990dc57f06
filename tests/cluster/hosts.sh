#!/bin/bash
# One image converted by three hosts, each with a rank of its own, under Open MPI and MPICH: the same
# bytes as on one machine, the same words, the same exit codes.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/cluster/nodes.bash"
. "$TESTS/same-bytes/engines.bash"
need_nodes
scratch 800
guest "$T/guest"
cd "$T"
nodes_up 3

for format in raw qcow2 vmdk; do
    good "$IMG" convert -f raw -O $format guest target
    mv target "alone.$format"
done
good "$IMG" convert -c -f raw -O qcow2 guest alone.packed
cp guest other
put other 60000000 noise 100 99

# told MPI: which rank ran where
printf '#!/bin/sh\nhostname >>"%s/ran-on"\nexec "$@"\n' "$T" >told
chmod +x told

tried=0
for mpi in $(mpis); do
    tried=$((tried + 1))
    rm -f ran-on
    for format in raw qcow2 vmdk; do
        good on_hosts "$mpi" 3 ./told "$IMG" convert -f raw -O $format guest target
        cmp target "alone.$format" || bad "$mpi, $format: other bytes than alone"
        rm -f target
    done
    checked
    [ "$(sort ran-on | uniq -c | tr -s ' \n' ' ')" = " 3 n0 3 n1 3 n2 " ] ||
        bad "$mpi: ranks were not on three hosts: $(sort ran-on | uniq -c)"
    good on_hosts "$mpi" 3 "$IMG" convert -c -f raw -O qcow2 guest target
    cmp target alone.packed || bad "$mpi, packed: other bytes than alone"

    # rank 0 on another host than the one that the launcher runs on, several ranks a host
    # shellcheck disable=SC2046
    good on_node n0 $("launch_$mpi") -host n2:2,n1:3 -n 5 "$IMG" convert -f raw -O qcow2 guest target
    cmp target alone.qcow2 || bad "$mpi, five ranks on two hosts: other bytes than alone"

    try on_hosts "$mpi" 3 "$IMG" compare -f raw -F qcow2 other target
    checked
    [ $rc = 1 ] && [ "$(cat .out)" = "$("$IMG" compare -f raw -F qcow2 other target)" ] ||
        bad "$mpi, compare: $rc: $(cat .out)"
    try on_hosts "$mpi" 3 "$IMG" map --output=json -f qcow2 target
    checked
    [ $rc = 0 ] && "$IMG" map --output=json -f qcow2 target | cmp - .out || bad "$mpi, map: $rc"
    try on_hosts "$mpi" 3 "$IMG" convert -O qcow2 none target
    checked
    [ $rc = 1 ] && [ "$(grep -c 'Could not open' .err)" = 1 ] || bad "$mpi, no source: $rc"
    rm -f target
done
[ $tried -gt 0 ] || skip "no MPI"
finish
