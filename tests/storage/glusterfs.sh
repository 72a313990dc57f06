#!/bin/bash
# GlusterFS: three hosts by namespaces, two of which serve a replicated volume, all of which mount it
# (FUSE) and write one image.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/cluster/nodes.bash"
. "$TESTS/storage/trial.bash"
need_nodes
need glusterd gluster glusterfsd mount.glusterfs mpirun
[ -c /dev/fuse ] || skip "no /dev/fuse"
scratch 1200
nodes_up 3
DIR=/mnt

# Folders that glusterd believes to be alone in; what it serves is in the scratch folder.
serve='d=$1/$(hostname).gluster
    mkdir -p "$d"/{lib,log,brick} /run/gluster /var/lib/glusterd /var/log/glusterfs
    mount --bind "$d/lib" /var/lib/glusterd
    mount --bind "$d/log" /var/log/glusterfs
    mount -t tmpfs tmpfs /mnt
    [ "$(hostname)" = n2 ] || timeout 30 glusterd'
for n in n0 n1 n2; do
    on_node $n bash -c "$serve" serve "$T" >"$T/gluster.log" 2>&1 ||
        { cat "$T/gluster.log" >&2; skip "glusterd does not start here"; }
done

gluster_on() {
    on_node n0 gluster --mode=script "$@" >"$T/gluster.log" 2>&1
}

volume_up() {
    local i
    for ((i = 0; i < 60; i++)); do
        gluster_on peer probe n1 && gluster_on peer status && grep -q Connected "$T/gluster.log" && break
        sleep 0.5
    done
    gluster_on volume create vol replica 2 "n0:$T/n0.gluster/brick/b" "n1:$T/n1.gluster/brick/b" force &&
        gluster_on volume start vol
}
volume_up || { cat "$T/gluster.log" >&2; skip "no volume can be made here"; }

for n in n0 n1 n2; do
    on_node $n bash -c 'mkdir -p /mnt/vol && mount -t glusterfs n0:/vol /mnt/vol' >"$T/gluster.log" 2>&1 ||
        { cat "$T/gluster.log" >&2; skip "the volume cannot be mounted here"; }
done

clients=3
on() {
    local k=$1
    shift
    if [ $# = 1 ]; then
        on_node n$((k - 1)) bash -c "cd /mnt/vol && $1"
    else
        on_node n$((k - 1)) bash -c 'cd /mnt/vol && "$@"' in "$@"
    fi
}
all() {
    # shellcheck disable=SC2046  # a list of words
    on 1 $(launch_openmpi) --wdir /mnt/vol --host "$(host_list 3)" -n 3 "$@"
}
# from the bricks: the file is whole on each
stored() {
    local a b
    a=$(hash_of "$T/n0.gluster/brick/b/$1") b=$(hash_of "$T/n1.gluster/brick/b/$1")
    [ "$a" = "$b" ] && echo "$a" || echo "$a and $b"
}
# what cp leaves in that client's cache is not ours
bring() { on 2 "cp $1 $2 && sync $2 && dd of=$2 oflag=nocache conv=notrunc count=0 status=none"; }

trial_guest
trial_formats
trial_verify
trial_modes
trial_clean
finish
