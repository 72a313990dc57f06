#!/bin/bash
# A fleet of whole and spread images in which one call fails, or one bit is wrong, or the program is
# killed: at most one image fails for it, all others are right; nothing is wrong under its name; and
# the next run mends it.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/sweep.bash"
. "$TESTS/fleet/fleet.bash"
scratch 300
export MPI_IMG_SEED=5 MPI_IMG_CHECKPOINT=1
mkdir "$T/work" && cd "$T/work"
small 5 && mv "$T/in" in
truncate -s 9M in/large
put in/large 4096 noise 3000000 1
put in/large 7000000 text 1000000 2
i=0
for f in in/*; do
    formats=(qcow2 raw vmdk)
    format=${formats[i++ % 3]}
    echo "{\"source\":\"$f\",\"target\":\"out/${f##*/}\",\"target_format\":\"$format\",\"verify\":true}"
done >m.jsonl
echo '{"source":"in/large","target":"out/packed","target_format":"qcow2","compress":true,"verify":true}' >>m.jsonl
fleet=("$IMG" fleet --threads 3 --whole-below 1M --no-space-check m.jsonl)
images=$(wc -l <m.jsonl)
fresh() {
    rm -rf out m.jsonl.results
    mkdir out
}
fresh
good "${fleet[@]}"
mv out ../want

same="cmp -s"

# right WHAT ALL: what has its name is right; with ALL, everything has it, and nothing else is there.
right() {
    local f
    for f in ../want/*; do
        [ -e "out/${f##*/}" ] || [ "$2" = some ] || bad "$1: ${f##*/} is missing"
        [ ! -e "out/${f##*/}" ] || $same "$f" "out/${f##*/}" || bad "$1: ${f##*/} is wrong"
    done
    [ "$2" = some ] || [ "$(ls -A out)" = "$(ls -A ../want)" ] || bad "$1: left: $(ls -A out | tr '\n' ' ')"
}

# sweep KIND ERRNO MOST MAYFAIL
sweep() {
    local kind=$1 no=$2 most=$3 total n failed=0
    fresh
    total=$(count_calls "$kind" "${fleet[@]}")
    for n in $(numbers "$total" "$most"); do
        fresh
        with_fault "$kind:$n:$no" "${fleet[@]}"
        checked
        case $rc,$no in
        0,*) right "$kind $n" all ;;
        1,*)
            failed=$((failed + 1))
            right "$kind $n" some
            [ "$(grep -o '"status":"failed","error' m.jsonl.results 2>/dev/null | wc -l)" -le 1 ] ||
                bad "$kind $n: others have failed, too"
            ;;
        137,0) right "killed at $kind $n" some ;;
        *) bad "$kind $n: exit $rc: $(tail -n 3 "$T/.err")" ;;
        esac
        try "${fleet[@]}"
        [ $rc = 0 ] || bad "$kind $n, the run after: exit $rc: $(tail -n 3 "$T/.err")"
        right "$kind $n, the run after" all
    done
    echo "$kind $no: $total calls, of $(numbers "$total" "$most" | wc -l) that failed $failed had the run fail"
}

sweep read $EIO 12
sweep write $ENOSPC 16
sweep sync $EIO 12
sweep open $EACCES 16
sweep rename $EACCES 9
sweep truncate $ENOSPC 8
sweep alloc $ENOMEM 40
same="$IMG compare -q" # there are bits that no guest reads
sweep flip 5 12
same="cmp -s"
sweep write $KILLED 16
sweep rename $KILLED 9
finish
