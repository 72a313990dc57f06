# Sourced after nodes.bash: a Slurm cluster over the nodes that are up, slurmctld on n0, a slurmd on
# each, munge between them; own keys and folders, no services, no cgroups.
#
#   slurm_up N               after nodes_up N; SLURMD_TIMEOUT: seconds until a silent node is down
#   slurm CMD...             sbatch, squeue and so on, on n0
#   submit OUT ARGS...       sbatch of a small job whose output goes there; sets `id`
#   job_is ID STATE          is it in one of these states (STATE|STATE)?
#   job_ended ID SECONDS     wait for it; sets `ended` to state and exit code, as COMPLETED 0:0. One
#                            that was put back is started after 2 seconds, not after 2 minutes
#   slurm_node NODE          start the daemons on a node that was started again
# shellcheck shell=bash

JOBS=${JOBS:-$TESTS/../jobs}

# See jobs/slurm-one.sbatch.
export SLURM_PMIX_FENCE=tree

need_slurm() {
    need_nodes
    need slurmctld slurmd sbatch srun munged
}

# The cgroup plugin is not used, but slurmd would look for what it needs.
slurm_conf() {
    local s=$T/slurm n=$1
    echo CgroupPlugin=cgroup/v1 >"$s/cgroup.conf"
    cat >"$s/slurm.conf" <<END
ClusterName=test
SlurmctldHost=n0
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmdSpoolDir=$s/spool-%n
TmpFS=$s/tmp-%n
StateSaveLocation=$s/state
SlurmctldLogFile=$s/slurmctld.log
SlurmdLogFile=$s/slurmd-%n.log
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=${SLURMD_TIMEOUT:-60}
MessageTimeout=$((${SLURMD_TIMEOUT:-60} < 10 ? 3 : 10))
TCPTimeout=1
KillWait=5
MinJobAge=600
JobRequeue=1
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0
NodeName=n[0-$((n - 1))] CPUs=16 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
END
}

# A node's own folders are empty when it starts: a job that was put back has the name of the one that
# crashed, and its PMIx finds what that one has left.
slurm_node() {
    local n=$1 s=$T/slurm
    rm -rf "$s/tmp-$n" "$s/spool-$n"
    mkdir -p "$s/spool-$n" "$s/tmp-$n"
    on_node "$n" munged --force --key-file="$s/munge.key" --socket=/run/munge/munge.socket.2 \
        --pid-file=/run/munge/munged.pid --seed-file=/run/munge/seed --log-file="$s/munged-$n.log" \
        2>>"$T/nodes/log" || skip "munged does not start here: $(tail -n 1 "$T/nodes/log")"
    if [ "$n" = n0 ]; then
        on_node n0 env SLURM_CONF="$s/slurm.conf" slurmctld ||
            skip "slurmctld does not start here: $(tail -n 1 "$s/slurmctld.log")"
    fi
    on_node "$n" env SLURM_CONF="$s/slurm.conf" slurmd ||
        skip "slurmd does not start here: $(grep error "$s/slurmd-$n.log" | tail -n 2 | tr '\n' ' ')"
}

slurm_up() {
    local i s=$T/slurm
    mkdir -p "$s/state"
    chmod 755 "$T" "$s"
    head -c 1024 /dev/urandom >"$s/munge.key"
    chmod 600 "$s/munge.key"
    slurm_conf "$1"
    for ((i = 0; i < $1; i++)); do slurm_node "n$i"; done
    for ((i = 0; i < 200; i++)); do
        [ "$(slurm sinfo -h -t idle -o %D 2>/dev/null)" != "$1" ] || return 0
        sleep 0.1
    done
    cat "$s"/*.log >&2
    fail "Slurm does not come up"
}

slurm() {
    on_node n0 env SLURM_CONF="$T/slurm/slurm.conf" "$@"
}

submit() {
    local out=$1
    shift
    id=$(slurm sbatch --parsable --cpus-per-task=1 --mem=100 --time=10 -o "$out" "$@") ||
        fail "sbatch $*"
}

job_state() {
    slurm scontrol -o show job "$1" 2>/dev/null |
        sed -n 's/.* JobState=\([A-Z_]*\) .* ExitCode=\([0-9:]*\) .*/\1 \2/p'
}

job_is() {
    local state
    state=$(job_state "$1")
    [[ ${state% *} =~ ^($2)$ ]]
}

# What is started in the second in which it was ended Slurm takes for what it has ended.
hurry() {
    slurm scontrol update jobid="$1" starttime=now 2>/dev/null || true
}

job_ended() {
    local i
    for ((i = 0; i < $2 * 5; i++)); do
        ended=$(job_state "$1")
        case $ended in
        PENDING*) sleep 2 && hurry "$1" ;;
        RUNNING* | COMPLETING* | CONFIGURING* | REQUEUED* | '') ;;
        *) return 0 ;;
        esac
        sleep 0.2
    done
    ended="$ended, after $2 s"
}

# restarts ID: how often it was put back
restarts() {
    slurm scontrol -o show job "$1" | sed 's/.* Restarts=\([0-9]*\) .*/\1/'
}
