#!/bin/bash
# Opening is no storm: of four ranks that convert a chain of two images, each opens each file once;
# the headers are read and the locks are taken by rank 0 alone, and it alone makes, names and removes
# files. Counted by strace, on each rank. And where the lock service of a server does not answer, it
# goes on without locks, unless they were asked for.
. "$(dirname "$0")/../lib.sh"
need_mpi
need strace
scratch 200
cd "$T"

strace -qq true 2>/dev/null || skip "strace may not trace here"
truncate -s 64M base.raw
put base.raw 0 text 5000000
put base.raw 40000000 noise 3000000
good "$IMG" convert -f raw -O qcow2 base.raw base
"$IMG" create -q -f qcow2 -b base -F qcow2 top
cat >traced <<END
#!/bin/sh
exec strace -f -qq -y -o $T/rank.\$PMIX_RANK -e trace=%file,%desc "\$@"
END
chmod +x traced

# calls RANK NAMES PATTERN: lines of those calls on files of ours that match
calls() {
    grep -E "^[0-9]+ +($2)\(" "rank.$1" | grep -E -- "$3" || true
}
count() {
    calls "$@" | wc -l
}

opens='open|openat|openat2|creat'
looks='stat|lstat|newfstatat|statx|access|faccessat|faccessat2|readlink|readlinkat|statfs|getxattr'
changes='rename|renameat|renameat2|unlink|unlinkat|link|linkat|symlink|mkdir|mkdirat|chmod|chown|utimensat'
by_name='[/"](base|top|target)[".]'
ours="(\"|<$T/)(base|top|target)[\".>]|/(base|top|target)[\".]"

# of NAME, on rank RANK: opened so often
opened() {
    local n
    checked
    n=$(count "$1" "$opens" "[/\"]$2\"")
    [ "$n" = "$3" ] || { bad "rank $1 opens $2 $n times, not $3"; calls "$1" "$opens" "[/\"]$2\"" >&2; }
}

# none RANK WHAT CALLS PATTERN
none() {
    checked
    [ "$(count "$1" "$3" "$4")" = 0 ] || { bad "rank $1: $2"; calls "$1" "$3" "$4" | head -n 5 >&2; }
}

conversion() {
    local what=$1 k n
    shift
    rm -f rank.*
    try ranks 4 ./traced "$IMG" convert "$@" -O qcow2 top target
    checked
    [ $rc = 0 ] || { bad "$what: $rc, $(cat .err)"; return 0; }
    for k in 0 1 2 3; do
        n=$(count $k "$opens|$looks|$changes" "$by_name")
        echo "$what, rank $k: $n requests by name, $(count $k "$opens" "$by_name") of them to open" \
            "a file, $(count $k fcntl "$ours.*LK") about locks"
        [ $k = 0 ] && continue
        opened $k base 1
        opened $k top 1
        opened $k target.mpi-img-part "$parts"
        none $k "takes locks" fcntl "$ours.*SETLK"
        none $k "changes names" "$changes" "$ours"
        none $k "reads headers" "pread64|preadv|preadv2" '/(base|top)>.*, 0\)'
        checked
        [ "$n" -le $limit ] || bad "$what: rank $k makes $n requests by name, more than $limit"
    done
    opened 0 base 1
    opened 0 top 1
    checked
    [ "$(count 0 "rename|renameat|renameat2" "target")" = 1 ] || bad "$what: not renamed once"
}

parts=1 limit=10
conversion "written"
parts=2 limit=20
conversion "verified" --verify
good "$IMG" compare -f qcow2 -F qcow2 top target >/dev/null

no_locks() {
    strace -f -qq -o /dev/null -e trace=fcntl -e inject=fcntl:error=ENOLCK "$@"
}
rm -f target
good no_locks "$IMG" convert -O qcow2 top target && good "$IMG" compare -f qcow2 -F qcow2 top target >/dev/null
try no_locks "$IMG" convert --image-opts -O qcow2 driver=qcow2,file.filename=top,file.locking=on none
checked
[ $rc = 1 ] && grep -q 'Failed to get "consistent read" lock: No locks available' .err ||
    bad "locking=on, and no locks: $rc, $(cat .err)"
finish
