#!/bin/bash
# The scripts for PBS and LSF against stand-ins for the commands of those: what is started, how the
# end of the job is known, how it comes back.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/jobs/batch.bash"
batch 10
export PBS_JOBID=7.server PBS_O_WORKDIR=$T PBS_NODEFILE=$T/nodes
echo n0 >nodes
stand_in mpirun <<'END'
while [ "$1" != mpi-img ]; do shift; done
exec "$@"
END
stand_in qrerun <<<'exit ${QRERUN:-0}'
# shellcheck disable=SC2016
stand_in qsub <<<'echo "again=$RESTARTS ${SOURCE:-}${MANIFEST:-}" >>"$PBS_O_WORKDIR/told"'
stand_in qstat <<<'printf "Job Id: 7\n    Resource_List.nodect = 2\n    Resource_List.walltime = 01:00:00\n"'

one=$JOBS/pbs-one.pbs
export SOURCE=disk.raw TARGET=target
program 0
OPTIONS="-f raw -O qcow2" try bash "$one"
is "done" "0 convert -f raw -O qcow2 --resume --time-limit=01:00:00 disk.raw target" "$rc $(head -n 1 ran)"
has "on its nodes" "--hostfile $T/nodes --map-by ppr:1:node" "$(called mpirun)"
is "not again" "" "$(called 'q[rs]\(erun\|ub\)')"
program 75
PBS_WALLTIME=600 try bash "$one"
is "Torque's end" "convert -O qcow2 --resume --time-limit=600 disk.raw target" "$(head -n 1 ran)"
is "stopped" "75 7.server" "$rc $(called qrerun)"
is "qrerun was enough" "" "$(called qsub)"
program 75
QRERUN=1 RESTARTS=5 try bash "$one"
is "submitted again" "75 -V -W depend=afterany:7.server $T/pbs-one.pbs" "$rc $(called qsub)"
is "with its settings" "again=4 disk.raw" "$(tail -n 1 told)"
program 75
QRERUN=1 RESTARTS=0 try bash "$one"
is "not for ever" "75 " "$rc $(called qsub)"
program 1
try bash "$one"
is "failed" "1 " "$rc $(called qrerun)"
program 0
RESUME=no try bash "$one"
is "no resume" "convert -O qcow2 disk.raw target" "$(head -n 1 ran)"
SOURCE='' try bash "$one"
is "usage" 1 $rc

fleet=$JOBS/pbs-fleet.pbs
program 75
MANIFEST=m.jsonl OPTIONS=-c QRERUN=1 MPI_IMG_JOBS=/jobs try bash "$fleet"
is "fleet" "75 fleet m.jsonl -c --time-limit=01:00:00" "$rc $(head -n 1 ran)"
is "fleet again" "-V -W depend=afterany:7.server /jobs/pbs-fleet.pbs" "$(called qsub)"
program 1
MANIFEST=m.jsonl try bash "$fleet"
is "some images failed" "1 " "$rc $(called qrerun)"
try bash "$fleet"
is "usage" 1 $rc

program 75
try bash "$JOBS/lsf-one.lsf"
is "LSF sees the code" "75 convert --resume -O qcow2 disk.raw target" "$rc $(head -n 1 ran)"
program 0
SOURCE='' TARGET='' COMMAND="fleet m.jsonl" OPTIONS=-c try bash "$JOBS/lsf-one.lsf"
is "LSF, a fleet" "0 fleet m.jsonl -c" "$rc $(head -n 1 ran)"
# the signal before the end comes to the script too
# shellcheck disable=SC2016
stand_in mpi-img <<<'kill -USR2 $PPID; sleep 0.2; exit 75'
stand_in mpirun <<'END'
trap : USR2
kill -USR2 "$PPID"
sleep 0.2
exit 75
END
try bash "$JOBS/lsf-one.lsf"
is "LSF's warning" 75 $rc
finish
