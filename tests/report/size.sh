# A page stays small and quick, however many images and ranks there are; and says what it leaves out.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/report/report.bash"
need_ours
scratch 400
cd "$T"

# page NAME MOST_MIB: how large it may get
page() {
    local begin=$SECONDS
    good "$IMG" report "$1" -o page.html || return 0
    checked
    [ "$(stat -c %s page.html)" -le $(($2 * MIB)) ] || bad "$1: $(stat -c %s page.html) bytes"
    [ $((SECONDS - begin)) -le 20 ] || bad "$1: took $((SECONDS - begin)) s"
}

rows() { # of the data in the page
    sed -n '/id="data"/,/<\/script>/p' page.html | grep -c '^\['
}

fleet images=10000 large=3 every=997 ranks=4 workers=8 >10000
page 10000 3
same "rows of 10000" "$(rows)" 10000
grep -q 'id="thinned"' page.html && bad "10,000 are all in the table"

# ten times as many: those that failed are all there
fleet images=100000 large=3 every=5000 ranks=16 workers=16 step=60 >100000
page 100000 5
checked
[ "$(rows)" -gt 10000 ] && [ "$(rows)" -lt 100000 ] || bad "100,000 became $(rows)"
same "failures in the table" "$(grep -c '^\[.*reading\|^\[.*Permission\|^\[.*No space' page.html)" 20
grep -q 'There are 100,000 images, too many for a page' page.html || bad "not said: thinned"
grep -q '<b>99,980</b> done' page.html || bad "the totals are not of all"

# many ranks, many runs, long names and errors
fleet images=3000 large=4 ranks=2000 workers=2 >wide
page wide 5
for run in $(seq 60); do
    fleet images=400 large=1 every=7 begin=$((BEGAN + run * 10000))
done >many
page many 5
grep -q 'Of 60 runs the last 16 are drawn' page.html || bad "not said: runs left out"
long=$(printf 'x%.0s' $(seq 3000))
{
    run_head 0
    for k in $(seq 300); do
        image "$k$long" failed 1 2 3 0 0 "$k$long"
        image "other/$k$long" done 1 2 3 0 0
    done
} >long
page long 5
finish
