# Sourced by the scripts of this folder: several hosts on one machine. A node is a process with net,
# uts, ipc, pid and mount namespaces of its own: host name, address, /tmp, /run, /dev/shm and sshd.
# The switch is a namespace too, so nothing is added to the machine's own network, and tests that run
# side by side do not meet. The rest of the file tree is the machine's: one file system that all
# nodes see alike, the scratch folder T first of all.
#
#   nodes_up N               nodes n0 to n(N-1), 10.77.0.10 and so on, and mpi_hosts for them
#   on_node NODE CMD...      run there, in this folder
#   on_hosts MPI N CMD...    under mpirun on n0: one rank each on n0 to n(N-1)
#   node_crash NODE          all its processes die at once; node_start NODE NUMBER: a new one
#   node_cut NODE            its packets are dropped, its link stays up; node_join NODE undoes it
#   node_pids NODE NAME...   processes of these names there, as the machine numbers them
# shellcheck shell=bash

declare -A node_pid=()
switch_pid=

# Namespaces end with their first process; that one ends with this script, however it ends.
held() {
    setpriv --pdeathsig KILL unshare --kill-child --fork --propagation unchanged "$@" \
        </dev/null >/dev/null 2>>"$T/nodes/log" &
}

# held_pid PID: the first process inside, once it is there
held_pid() {
    local child= i
    for ((i = 0; i < 100; i++)); do
        child=$(cat "/proc/$1/task/$1/children" 2>/dev/null) || true
        [ -z "$child" ] || { echo "${child% }"; return; }
        sleep 0.05
    done
    return 1
}

need_nodes() {
    need_ours
    need ip nsenter unshare setpriv ssh ssh-keygen /usr/sbin/sshd
    [ "$(id -u)" = 0 ] || skip "hosts by namespaces need root"
    unshare --net --uts --ipc --pid --mount --fork --propagation unchanged ip link set lo up \
        2>/dev/null || skip "this machine does not let us make namespaces"
}

in_switch() {
    nsenter -t "$switch_pid" -n "$@"
}

switch_up() {
    held --net sleep infinity
    switch_pid=$(held_pid $!)
    in_switch ip link set lo up
    in_switch ip link add br0 type bridge
    in_switch ip link set br0 up
}

# One throw-away key pair serves as host key and as client key.
nodes_keys() {
    local n=$1 d=$T/nodes i
    ssh-keygen -q -t ed25519 -N '' -C test -f "$d/key"
    cp "$d/key.pub" "$d/authorized_keys"
    echo "* $(cut -d' ' -f1,2 "$d/key.pub")" >"$d/known_hosts"
    cat >"$d/sshd_config" <<END
HostKey $d/key
AuthorizedKeysFile $d/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
AcceptEnv HWLOC_HIDE_ERRORS
MaxStartups 200
MaxSessions 200
ClientAliveInterval 3
ClientAliveCountMax 3
END
    # the keep-alive bounds how long a host that does not answer is waited for
    cat >"$d/ssh_config" <<END
Host *
 IdentityFile $d/key
 IdentitiesOnly yes
 UserKnownHostsFile $d/known_hosts
 StrictHostKeyChecking yes
 BatchMode yes
 SendEnv HWLOC_HIDE_ERRORS
 ConnectTimeout 5
 ServerAliveInterval 3
 ServerAliveCountMax 3
 LogLevel ERROR
END
    printf '#!/bin/sh\nexec ssh -F %s "$@"\n' "$d/ssh_config" >"$d/ssh"
    chmod +x "$d/ssh"
    echo 127.0.0.1 localhost >"$d/hosts"
    for ((i = 0; i < n; i++)); do echo "10.77.0.$((10 + i)) n$i" >>"$d/hosts"; done
}

# What runs first in a node. Its root is a copy of what is mounted here, so nothing that is mounted in
# it is seen outside, and it does not matter whether we run in a chroot ourselves (whose / is often no
# mount point). The mount that it stands in is made its own first: T will be removed, and must not
# hold the machine's files then.
node_root='
    set -e
    mkdir -p "$3/nodes/$2.root"
    mount --make-rprivate / 2>/dev/null || mount --make-private "$(stat -c %m "$3")"
    mount --rbind / "$3/nodes/$2.root"
    mount --make-rprivate "$3/nodes/$2.root"
    exec chroot "$3/nodes/$2.root" bash -c "$1" node "$2" "$3" "$4"'

# Then: private folders, with the folders that are needed put back where they were (T is in /dev/shm,
# a build folder may be in /tmp). tcp_retries2: what is sent to a silent host fails after some 6
# seconds, not after 15 minutes; launchers wait for that.
node_init='
    set -e
    hostname "$1"
    mount -t proc proc /proc
    [ -e /sys/class ] || mount -t sysfs sysfs /sys 2>/dev/null || true
    exec 7<"$2" 8<"$3"
    for f in /tmp /run /dev/shm; do mount -t tmpfs -o size=2g tmpfs $f; done
    mkdir -p "$2" "$3" /run/sshd /run/lock /run/munge
    mount -c --bind /proc/self/fd/7 "$2"
    mount -c --bind /proc/self/fd/8 "$3"
    exec 7<&- 8<&-
    mount --bind "$2/nodes/hosts" /etc/hosts
    ip link set lo up
    echo 4 >/proc/sys/net/ipv4/tcp_retries2
    : >"$2/nodes/$1.ready"
    trap : TERM
    set +e
    while :; do sleep 1000 & wait; done'

node_start() {
    local n=$1 number=$2 i
    rm -f "$T/nodes/$n.ready"
    held --net --uts --ipc --pid --mount bash -c "$node_root" root "$node_init" "$n" "$T" "$TESTS/.."
    node_pid[$n]=$(held_pid $!) || skip "no host by namespaces: $(tail -n 1 "$T/nodes/log")"
    for ((i = 0; i < 200; i++)); do
        [ ! -e "$T/nodes/$n.ready" ] || break
        kill -0 "${node_pid[$n]}" 2>/dev/null ||
            { unset "node_pid[$n]"; skip "no host by namespaces: $(tail -n 1 "$T/nodes/log")"; }
        sleep 0.05
    done
    # what has crashed may take a while to let go of its network
    in_switch ip link del "v$n" 2>/dev/null || true
    # a fixed address of the card: else peers remember that of a node that has crashed
    in_switch ip link add "v$n" type veth peer name eth0 netns "${node_pid[$n]}" \
        address "$(printf '02:00:00:00:00:%02x' "$number")"
    in_switch ip link set "v$n" master br0 up
    nsenter -t "${node_pid[$n]}" -n ip addr add "10.77.0.$number/24" dev eth0
    nsenter -t "${node_pid[$n]}" -n ip link set eth0 up
    on_node "$n" /usr/sbin/sshd -f "$T/nodes/sshd_config" -E "$T/nodes/$n.sshd.log"
}

nodes_up() {
    local i
    mkdir -p "$T/nodes"
    : >"$T/nodes/log"
    at_exit+=(nodes_down)
    nodes_keys "$1"
    switch_up
    for ((i = 0; i < $1; i++)); do node_start "n$i" $((10 + i)); done
}

nodes_down() {
    local n
    for n in "${!node_pid[@]}"; do kill -9 "${node_pid[$n]}" 2>/dev/null; done
    [ -z "$switch_pid" ] || kill -9 "$switch_pid" 2>/dev/null
    sleep 0.3 # the scratch folder is removed next: no one may still write there
    rmdir "$T"/nodes/*.root || KEEP=1 # never, or what is removed next were the machine's files
}

on_node() {
    local n=$1
    shift
    nsenter -t "${node_pid[$n]}" -n -u -i -p -m -r --wdns="$PWD" -- "$@"
}

node_crash() {
    kill -9 "${node_pid[$1]}"
    unset "node_pid[$1]"
}

node_cut() {
    in_switch bridge link set dev "v$1" state 0
}

node_join() {
    in_switch bridge link set dev "v$1" state 3
}

node_pids() {
    local ns pid name
    ns=$(readlink "/proc/${node_pid[$1]}/ns/pid")
    shift
    for name; do
        for pid in $(pgrep -x "$name" || true); do
            [ "$(readlink "/proc/$pid/ns/pid" 2>/dev/null)" != "$ns" ] || echo "$pid"
        done
    done
}

# -- MPI over them ---------------------------------------------------------------------------------

# The keep-alives end a run whose host has gone silent in some 12 seconds, instead of 8 minutes.
launch_openmpi() {
    echo "$(launcher_of openmpi) --mca plm_rsh_agent $T/nodes/ssh --mca btl tcp,self,vader
        --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0
        --mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3"
}

launch_mpich() {
    echo "env UCX_NET_DEVICES=eth0 UCX_TLS=tcp,self,sysv,posix
        $(launcher_of mpich) -launcher ssh -launcher-exec $T/nodes/ssh -iface eth0"
}

# host_list N [RANKS-EACH]
host_list() {
    local i list=
    for ((i = 0; i < $1; i++)); do list+=,n$i:${2:-1}; done
    echo "${list#,}"
}

on_hosts() {
    local mpi=$1 n=$2
    shift 2
    # shellcheck disable=SC2046  # a list of words
    on_node n0 $("launch_$mpi") -host "$(host_list "$n")" -n "$n" "$@"
}

# The MPIs to try here.
mpis() {
    local mpi
    for mpi in openmpi mpich; do
        if [ -n "$(launcher_of $mpi)" ] && [ -e "$BUILD/mpi-img-$mpi.so" ]; then
            echo $mpi
        else
            echo "note: $mpi is left out, its launcher or its module is not there" >&2
        fi
    done
}
