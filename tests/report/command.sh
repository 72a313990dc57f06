# mpi-img report: its files, its words, its exit codes.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/report/report.bash"
need_ours
scratch 50
cd "$T"

refuse() { # MESSAGE ARGUMENT...
    local message=$1
    shift
    try "$IMG" report "$@"
    same "exit code of report $*" $rc 1
    same "report $*" "$(head -n 1 .err)" "mpi-img: $message"
    same "stdout of report $*" "$(cat .out)" ""
}

# -- where the page goes
known >known.results
good "$IMG" report known.results
same "words" "$(cat .out)" "Report in 'known.results.html': 6 images, 4 done, 1 failed"
same "left in the folder" "$(ls)" "known.results
known.results.html"
good "$IMG" report -q -o other.html known.results
same "quiet" "$(cat .out)" ""
cmp known.results.html other.html || bad "another name, another page"
good "$IMG" report known.results -o -
cmp known.results.html .out || bad "another page on stdout"
good "$IMG" report -o piped.html <(known)
cmp -s <(sed "s/<footer>.*//" piped.html) <(sed "s/<footer>.*//" known.results.html) || bad "another page out of a pipe"
good "$IMG" report known.results # once more, over what is there
cmp known.results.html other.html || bad "the same results, another page"

# -- several files, in any order, one twice: the same runs
known | head -n 5 >1.results
known | tail -n +6 >2.results
good "$IMG" report -o parts.html 2.results 1.results 2.results
same "parts" "$(grep -c '^<section class="card run"' parts.html)" 2
strip() { sed 's/<footer>.*<\/footer>//' "$1"; }
same "page of the parts" "$(strip parts.html | sha256sum)" "$(strip known.results.html | sha256sum)"

# -- a fleet that is still at work, or was killed
known | head -c -30 >torn.results
good "$IMG" report torn.results
grep -q 'The last line of a file is not whole' torn.results.html || bad "not told: torn"
grep -q 'it is still at work, or was killed' torn.results.html || bad "not told: no end"

# -- what is refused
dd if=/dev/urandom of=noise bs=64k count=1 status=none
printf '{"source":"a","target":"b"}\n' >manifest
: >empty
mkdir folder
good "$REF" create -q -f qcow2 disk.qcow2 1M || true
for file in noise manifest empty disk.qcow2; do
    [ -e "$file" ] || continue
    refuse "Could not read '$file': it is not a results file of a fleet" "$file"
    [ ! -e "$file.html" ] || bad "$file: a page of it"
done
refuse "Could not open 'missing': No such file or directory" missing
refuse "Could not read 'folder': Is a directory" folder
refuse "Expecting at least one file of results"
refuse "'known.results' holds results: the report cannot take its place" -o known.results known.results
ln -s known.results link
refuse "'link' holds results: the report cannot take its place" -o link torn.results known.results
refuse "Could not write 'no/where.html': Could not create 'no/where.html': No such file or directory" \
    -o no/where.html known.results
sed 's/"version":1/"version":2/' known.results >future.results
refuse "Could not read 'future.results': results of version 2; known is 1" future.results
same "results are as they were" "$(sha256sum <known.results)" "$(known | sha256sum)"

# -- help and manual know it
good "$IMG" report --help
grep -q -- '--output' .out || bad "no help"
good "$IMG" --generate man
grep -q 'report' .out || bad "not in the manual"
finish
