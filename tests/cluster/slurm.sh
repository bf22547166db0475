#!/usr/bin/env bash
# A SLURM of one machine, real but small: munged, slurmctld and slurmd as root, without systemd, cgroups or accounting.
#   tests/cluster/slurm.sh start FOLDER
#   tests/cluster/slurm.sh stop FOLDER
# Everything it writes lies in FOLDER (a short path: a socket's name has at most 100 letters), and two links to it in
# /etc/slurm: the plugin's jobs lose SLURM_CONF, so the commands must find their configuration where they look for it.
set -euo pipefail
action=$1 folder=$2
daemons="slurmd slurmctld munged"
links="slurm.conf gres.conf"

if [ "$action" = stop ]; then
    for name in $daemons; do
        [ -s "$folder/$name.pid" ] || continue
        pid=$(cat "$folder/$name.pid")
        kill "$pid" || echo "$0: $name has already ended" >&2
        while [ -d "/proc/$pid" ]; do sleep 0.1; done # it writes its state until then
    done
    for name in $links; do
        [ "$(readlink "/etc/slurm/$name")" != "$folder/$name" ] || rm "/etc/slurm/$name"
    done
    exit 0
fi

if [ "$(id -u)" != 0 ]; then
    echo "$0: SLURM's daemons need root here; run it as root" >&2
    exit 1
fi
if ! { command -v munged && command -v slurmctld && command -v slurmd && command -v sbatch; } >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge >/dev/null
fi

for name in $links; do
    if [ -e "/etc/slurm/$name" ]; then
        echo "$0: /etc/slurm/$name is there already: this machine has a SLURM, which is left alone" >&2
        exit 1
    fi
done

mkdir -p "$folder/state" "$folder/spool" /etc/slurm
cd "$folder"
chmod 755 "$folder"
name=$(hostname -s) memory=$(free -m | awk '/^Mem:/ {print int(0.9 * $2)}')
(umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")

# Jobs are polled with squeue, so they stay in its list for 300 s after their end (MinJobAge). Four processors and GPUs
# whatever the machine has, so that jobs wait for each other no longer than they must; the GPUs are empty files.
cat >"$folder/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$name
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CryptoType=crypto/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
MinJobAge=300
KillWait=5
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=$name CPUs=4 RealMemory=$memory Gres=gpu:4 State=UNKNOWN
PartitionName=cpu Nodes=$name Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$name MaxTime=INFINITE State=UP
CONF
echo "Name=gpu File=$folder/gpu[0-3]" >"$folder/gres.conf"
touch "$folder"/gpu{0,1,2,3}

for name in $links; do
    ln -sf "$folder/$name" "/etc/slurm/$name"
done
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
slurmctld
slurmd
for _ in $(seq 100); do
    [ "$(sinfo --noheader --format=%t --partition=cpu 2>/dev/null || :)" != idle ] || exit 0
    sleep 0.1
done
echo "$0: the node is not ready after 10 s; see $folder/slurmctld.log and $folder/slurmd.log" >&2
tail -n 5 "$folder"/*.log >&2
exit 1
