#!/bin/bash
# A fleet on three hosts, small images and large ones. Undisturbed; then a host dies on the way: the
# run ends with a code that is not 0, and the same command on the hosts that are left does the rest,
# none of what was done. Each image is what convert makes of it on one machine.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fleet/fleet.bash"
. "$TESTS/resume/resume.bash"
. "$TESTS/cluster/nodes.bash"
need_nodes
scratch 900
cd "$T"
export MPI_IMG_RANK_TIMEOUT=6
mkdir one
small 24
guest in/big.raw 40
guest in/huge.raw 64
manifest many | sed 's/vhdx/qcow2/g' >m.jsonl # identifiers of a vhdx are drawn on each host
images=$(wc -l <m.jsonl)
sed 's/"many/"one/' m.jsonl >one.jsonl
good "$IMG" fleet one.jsonl
nodes_up 3

fleet_on() {
    local mpi=$1 hosts=$2
    shift 2
    on_hosts "$mpi" "$hosts" "$IMG" fleet --threads 2 --whole-below 10M "$@" m.jsonl
}

# all_right WHAT: and nothing else stands there
all_right() {
    local f
    for f in one/*; do
        checked
        cmp -s "$f" "many/${f##*/}" || bad "$1: ${f##*/} is not what convert makes"
    done
    checked
    [ "$(ls one | wc -l)" = "$(ls -A many | wc -l)" ] || bad "$1: files are left: $(ls -A many)"
}

done_of() {
    grep '"status":"done"' m.jsonl.results 2>/dev/null | field target | sort -u | wc -l
}

# some are done, and a large one has been recorded in part
under_way() {
    [ "$(done_of)" -ge 6 ] && [ -n "$(echo many/*$JOURNAL)" ]
}

for mpi in $(mpis); do
    rm -rf many m.jsonl.results && mkdir many
    good fleet_on "$mpi" 3
    all_right "$mpi, three hosts"
    checked
    grep -q '"hosts":\["n0","n1","n2"\]' m.jsonl.results || bad "$mpi: hosts: $(head -n 1 m.jsonl.results)"
    [ "$(field rank <m.jsonl.results | sort -u | tr '\n' ' ')" = "0 1 2 " ] ||
        bad "$mpi: not every rank had an image"

    rm -rf many m.jsonl.results && mkdir many
    fleet_on "$mpi" 3 -r 12M >"$T/.out" 2>"$T/.err" </dev/null &
    job=$!
    wait_for 30 eval "under_way || gone $job" || bad "$mpi: does not begin: $(cat "$T/.err")"
    node_crash n2
    begin=$SECONDS
    wait_for 30 gone $job || { bad "$mpi: not ended 30 s after the crash"; kill -9 $job; }
    rc=0
    wait $job 2>/dev/null || rc=$?
    before=$(done_of)
    echo "$mpi: host crashed: ended with $rc after $((SECONDS - begin)) s, $before of $images done"
    checked
    [ $rc != 0 ] || bad "$mpi: exit 0"
    [ "$before" -lt "$images" ] || bad "$mpi: was too quick to be disturbed"
    try fleet_on "$mpi" 2
    ended 0
    said "$before done before"
    all_right "$mpi, host crashed"
    node_start n2 12
done
finish
