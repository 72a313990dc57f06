#!/bin/bash
# scaling-study.sh on a tiny image: a table that programs can read, a drawing that is well formed, the
# statistics right; failures are told.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/jobs/batch.bash"
need_mpi
need xmllint
batch 50
study=$JOBS/scaling-study.sh
export PROGRAM=$IMG
unset "${!SLURM_@}" "${!PBS_@}" "${!LSB_@}"
put disk.raw 0 text 3000000

try bash "$study" -n "1 2" -r 2 -o out -- convert -f raw -O qcow2 disk.raw disk.qcow2
checked
[ $rc = 0 ] || { bad "exit $rc"; cat .err; }
is "runs" "1 1 2 2 " "$(awk -F '\t' '/^[0-9]/ && NF == 5 && $3 > 0 && $4 == 0 { print $1 }' out/scaling.tsv |
    sort | tr '\n' ' ')"
is "up and down" "1 2 2 1 " "$(awk '/^[0-9]/ { printf "%s ", $1 }' out/scaling.tsv)"
is "table" "$(cat out/scaling.txt)" "$(grep -v svg .out)"
good xmllint --noout out/scaling.svg
good "$IMG" compare disk.raw disk.qcow2

# numbers by hand: medians 8, 4 (of 3, 4, 9) and 2.5 (of 2 and 3); one run failed, one number has none
mkdir hand
cat >hand/scaling.tsv <<'END'
# mpi-img convert "<a> & b" c
# here
ranks	run	seconds	code	start
16	1	1.0	1	0.1
4	1	2.0	0	0.1
4	2	3.0	0	0.3
2	1	9.0	0	0.1
2	2	3.0	0	0.1
2	3	4.0	0	0.1
1	1	8.0	0	0.1
1	2	0.1	2	0.1
END
for awk in mawk gawk busybox original-awk; do
    command -v $awk >/dev/null || continue
    mkdir -p awks/$awk
    ln -s "$(command -v $awk)" awks/$awk/awk
    PATH=$T/awks/$awk:$PATH good bash "$study" --draw hand
    is "$awk: table" "1 1 8.00 8.00 8.00 1.00 100 % 0.10 and 1 failed
2 3 4.00 3.00 9.00 2.00 100 % 0.10
4 2 2.50 2.00 3.00 3.20 80 % 0.20
16 0 all failed" "$(tail -n +2 hand/scaling.txt | tr -s ' ' | sed 's/^ //')"
    good xmllint --noout hand/scaling.svg
    is "$awk: drawn" "3 6" "$(grep -o 'class="median"' hand/scaling.svg | wc -l | awk '{ print $1 / 2 }') $(
        grep -o 'class="run"' hand/scaling.svg | wc -l | awk '{ print $1 / 2 }')"
done

try bash "$study" -n 1 -r 1 -o bad -- convert -f raw -O qcow2 none.raw disk.qcow2
is "all failed" 1 $rc
has "all failed" "see bad/log" "$(cat .err)"

# in a batch job: as many ranks as nodes, srun; a fleet's results go into the folder
export SLURM_JOB_ID=1 SLURM_JOB_NUM_NODES=4
stand_in srun <<'END'
[ "$*" != --mpi=list ] || { echo pmix; exit; }
while [[ $1 == -* ]]; do [ "$1" != -n ] || shift; shift; done
exec "$@"
END
program 0
PROGRAM=mpi-img good bash -c '"$@" 2>/dev/null' - bash "$study" -r 1 -o fleet -b "touch before" -- fleet m.jsonl -c
is "numbers of ranks" "1 2 4 " "$(awk '/^[0-9]/ { printf "%s ", $1 }' fleet/scaling.tsv)"
is "results" "fleet m.jsonl -c --results=fleet/results-2-1.jsonl" "$(grep -e 'results-2-1' ran)"
has "by srun" "--mpi=pmix --kill-on-bad-exit=0 --distribution=cyclic -n 4 mpi-img fleet" "$(called srun)"
is "done before each" before "$(echo before*)"
try bash "$study" -n 1
is "usage" 1 $rc
finish
