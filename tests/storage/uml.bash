# Sourced by the tests that need several kernels: NFS with a server and clients that share no page
# cache. Each is a User-Mode Linux process with a network card in the switch of nodes.bash; its root
# is this machine's (hostfs), its memory, /dev/shm and /run are its own.
#
#   uml_up N [OPTIONS]    u0 serves NFS from XFS on a disk image, u1 to uN mount it as $SHARE, with
#                         these options of mount
#   uml_on uK CMD...      run there, in $SHARE (one word: a line for its shell); out, err and code
#                         as if it had run here
#   uml_mpirun N CMD...   on u1: Open MPI, one rank each on u1 to uN
#   uml_crash uK          that kernel is gone at once
#
# There is no ssh among them, which would take seconds a session: what a kernel is to do stands in
# files that all of them see, and an agent in each looks for them.
# shellcheck shell=bash
. "$TESTS/cluster/nodes.bash"

SHARE=/mnt/share
UML_DISK=1500M
declare -A uml_pid=()

need_uml() {
    need_nodes
    need linux exportfs rpc.nfsd rpc.mountd mount.nfs4 rpcbind mkfs.xfs mpirun
    compgen -G "/usr/lib/uml/modules/*/kernel/fs/nfsd/nfsd.ko*" >/dev/null ||
        skip "User-Mode Linux has no module nfsd"
    [ -n "$(launcher_of openmpi)" ] && [ -e "$BUILD/mpi-img-openmpi.so" ] || skip "no Open MPI"
    [ -c /dev/net/tun ] || skip "no /dev/net/tun"
    [ "$(free_mib /dev/shm)" -gt 2100 ] || skip "/dev/shm has no room for the memory of the kernels"
}

# uml_scratch MIB: not in a folder that the kernels have one of their own for.
uml_scratch() {
    local TEST_DIR=${TEST_DIR:-/var/tmp}
    case $TEST_DIR in /dev/shm* | /run* | /mnt*) TEST_DIR=/var/tmp ;; esac
    [ "$(free_mib "$TEST_DIR")" -gt "$1" ] ||
        skip "$TEST_DIR has no $1 MiB free (TEST_DIR names another folder)"
    scratch "$1"
}

# What runs first in a kernel, as its init, and stays as its agent: jobs are *.job in its folder,
# their exit codes come as *.rc. NUMBER, FOLDER, EXPORT and OPTIONS are filled in.
uml_init='#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TZ=UTC
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_hwloc_base_binding_policy=none HWLOC_HIDE_ERRORS=2
n=NUMBER D=FOLDER
exec >"$D/u$n.log" 2>&1
mount -t devtmpfs dev /dev 2>/dev/null # the kernel may have done it
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t proc proc /proc
mount -t sysfs sysfs /sys
ln -s /proc/self/fd /dev/fd
for f in /run /dev/shm /mnt /var/lib/nfs; do mount -t tmpfs tmpfs $f; done
mkdir -p /run/lock /run/rpcbind /run/lib/modules /mnt/share /mnt/tmp
mkdir -p /var/lib/nfs/{sm,sm.bak,v4recovery,rpc_pipefs}
export TMPDIR=/mnt/tmp
ln -s "/usr/lib/uml/modules/$(uname -r)" /run/lib/modules/
printf "#!/bin/sh\nexec modprobe -d /run \"\$@\"\n" >/run/modprobe
chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
mount --bind /dev/null /etc/resolv.conf
mount --bind "$D/hosts" /etc/hosts
hostname u$n
ip link set lo up
ip addr add 10.78.0.$((10 + n))/24 dev vec0
ip link set vec0 mtu 1400 up
# no more on its way than the sockets below can hold, or what is lost is waited for by the second
echo 4096 49152 65536 >/proc/sys/net/ipv4/tcp_rmem
echo 4096 49152 65536 >/proc/sys/net/ipv4/tcp_wmem
if [ $n = 0 ]; then
    /run/modprobe nfsd
    mkfs.xfs -q -f /dev/ubda
    mount /dev/ubda /mnt/share
    mount -t nfsd nfsd /proc/fs/nfsd
    echo "/mnt/share *(rw,sync,no_root_squash,no_subtree_check,fsid=0,insecure)" >/run/exports
    touch /var/lib/nfs/etab /var/lib/nfs/rmtab
    mount --bind /run/exports /etc/exports
    rpcbind -w
    exportfs -ra
    rpc.mountd
    rpc.nfsd -G 10 -L 10 8 # a short time of grace, or the first lock waits for a minute
else
    [ ! -e "$D/statd" ] || { rpcbind -w; rpc.statd --no-notify; }
    while [ ! -e "$D/u0.ready" ]; do sleep 0.1; done
    for i in 1 2 3 4 5; do
        mount -t nfs -o retry=0,OPTIONS u0:EXPORT /mnt/share && break
        sleep 0.5
    done
fi
grep /mnt/share /proc/mounts && : >"$D/u$n.ready"
exec 3<> <(:)
while :; do
    for job in "$D/u$n"/*.job; do
        [ -e "$job" ] || continue
        job=${job%.job}
        mv "$job.job" "$job.run"
        (
            cd /mnt/share
            bash "$job.run" >"$job.out" 2>"$job.err" </dev/null
            echo $? >"$job.code"
            mv "$job.code" "$job.rc"
        ) &
    done
    read -r -t 0.05 -u 3
done'

# give HOST WORDS...: what ssh would do, one line for a shell. For us, and in a kernel for mpirun.
uml_give='#!/bin/bash
D=FOLDER u=$1
shift
job=$D/$u/$(hostname).$$
printf "%s\n" "$*" >"$job.new"
mv "$job.new" "$job.job"
exec 3<> <(:)
while [ ! -e "$job.rc" ]; do
    [ -e "$D/$u.log" ] || exit 255
    read -r -t 0.05 -u 3
done
cat "$job.out"
cat "$job.err" >&2
rc=$(cat "$job.rc")
rm -f "$job".*
exit "$rc"'

# uml_program TEXT FILE: with what is filled in
uml_program() {
    sed -e "s|NUMBER|$n|; s|FOLDER|$T/uml|; s|OPTIONS|$uml_options|; s|EXPORT|$uml_export|" <<<"$1" >"$2"
    chmod +x "$2"
}

held_in_switch() {
    setpriv --pdeathsig KILL nsenter -t "$switch_pid" -n -- \
        unshare --kill-child --fork --propagation private "$@" </dev/null >/dev/null 2>>"$T/nodes/log" &
}

uml_start() {
    local n=$1 d=$T/uml disk=()
    mkdir -p "$d/u$n"
    rm -f "$d/u$n.ready"
    uml_program "$uml_init" "$d/u$n.init"
    [ "$n" != 0 ] || disk=("ubda=$d/disk")
    in_switch ip link show "tap$n" >/dev/null 2>&1 || in_switch ip tuntap add "tap$n" mode tap
    in_switch ip link set "tap$n" master br0 up
    held_in_switch --pid --mount --mount-proc env TMPDIR=/dev/shm linux mem=512M root=none \
        rootfstype=hostfs rootflags=/ rw con=null con0=null,fd:1 quiet init="$d/u$n.init" \
        uml_dir="$d" "vec0:transport=tap,ifname=tap$n,depth=128,gro=1" "${disk[@]}"
    uml_pid[u$n]=$(held_pid $!)
}

uml_wait() {
    local i
    for ((i = 0; i < 600; i++)); do
        [ ! -e "$T/uml/u$1.ready" ] || return 0
        sleep 0.1
    done
    head -n 40 "$T/uml/u$1.log" >&2
    [ "$cases" = 0 ] || fail "User-Mode Linux does not come up again"
    skip "User-Mode Linux does not come up here"
}

uml_up() {
    local count=$1 i n=0 d=$T/uml
    uml_options=${2:-vers=4.2,hard,timeo=50} uml_export=/
    mkdir -p "$d" "$T/nodes"
    case $uml_options in *vers=3*) uml_export=$SHARE; : >"$d/statd" ;; esac
    at_exit+=(uml_down)
    truncate -s "$UML_DISK" "$d/disk"
    echo 127.0.0.1 localhost >"$d/hosts"
    for ((i = 0; i <= count; i++)); do echo "10.78.0.$((10 + i)) u$i" >>"$d/hosts"; done
    uml_program "$uml_give" "$d/give"
    switch_up
    for ((i = 0; i <= count; i++)); do uml_start "$i"; done
    for ((i = 0; i <= count; i++)); do uml_wait "$i"; done
}

uml_down() {
    local u
    for u in "${!uml_pid[@]}"; do kill -9 "${uml_pid[$u]}" 2>/dev/null; done
    [ -z "$switch_pid" ] || kill -9 "$switch_pid" 2>/dev/null
    sleep 0.3 # the scratch folder is removed next: no one may still write there
}

uml_on() {
    local u=$1
    shift
    [ $# = 1 ] || set -- "$(printf '%q ' "$@")"
    "$T/uml/give" "$u" "$1"
}

uml_mpirun() {
    local n=$1 list= i
    shift
    for ((i = 1; i <= n; i++)); do list+=,u$i:1; done
    uml_on u1 mpirun.openmpi --mca plm_rsh_agent "$T/uml/give" --mca btl tcp,self \
        --mca btl_tcp_if_include vec0 --mca oob_tcp_if_include vec0 \
        --mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 2 \
        --mca oob_tcp_keepalive_probes 3 --host "${list#,}" -n "$n" "$@"
}

uml_crash() {
    kill -9 "${uml_pid[$1]}"
    unset "uml_pid[$1]"
    rm -f "$T/uml/$1.log"
}
