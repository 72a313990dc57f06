# Is the image of this folder still good? Exit 0, or what is wrong on stdout.
#
#   judge.bash content IMAGE FORMAT BEFORE [AFTER]   opens, has no fault but leaks, and reads whole
#                                           as the raw file BEFORE or as AFTER
#   judge.bash sectors IMAGE FORMAT BEFORE AFTER     ..., each sector as in one of them
#   judge.bash mends IMAGE FORMAT BEFORE             a check -r all ends well, and then it reads as BEFORE
#   judge.bash grows IMAGE BEFORE AFTER     sectors of a qcow2 image that may still be shorter than they
#   judge.bash theirs IMAGE FORMAT BEFORE AFTER      sectors, after the original's check -r all
#   judge.bash snapshot IMAGE NAME MODEL    the snapshot of this name, if there is one, reads as MODEL
#   judge.bash opens IMAGE FORMAT                    ... and that is all
#   judge.bash resumes EXPECTED TARGET ARGS...      convert --resume ARGS TARGET makes EXPECTED of it
# Several, with "and" between them.
# shellcheck shell=bash
set -euo pipefail

wrong() {
    echo "$*"
    exit 1
}

opens() {
    local rc=0
    "$IMG" info -f "$2" "$1" >.said 2>&1 || wrong "does not open: $(cat .said)"
    "$IMG" check -q -f "$2" "$1" >.said 2>&1 || rc=$?
    case $rc in 0 | 3 | 63) ;; *) wrong "check ends with $rc: $(tail -n 5 .said)" ;; esac
}

same_as() {
    cmp -s .raw "$1"
}

content() {
    opens "$1" "$2"
    "$IMG" convert -f "$2" -O raw "$1" .raw || wrong "$1 cannot be read"
    same_as "$3" || { [ $# = 4 ] && same_as "$4"; } || wrong "$1 reads as neither"
}

mends() {
    "$IMG" check -q -r all -f "$2" "$1" >.said 2>&1 || wrong "cannot be mended: $(cat .said)"
    content "$@"
}

sectors() {
    opens "$1" "$2"
    "$IMG" convert -f "$2" -O raw "$1" .raw || wrong "cannot be read"
    "$REPLAY" sectors "$3" "$4" .raw
}

theirs() {
    local rc=0
    "$REF" check -q -r all -f "$2" "$1" >.said 2>&1 || rc=$?
    case $rc in 0 | 3 | 63) ;; *) wrong "the original cannot mend it: $(cat .said)" ;; esac
    "$REF" convert -f "$2" -O raw "$1" .raw || wrong "the original cannot read it"
    "$REPLAY" sectors "$3" "$4" .raw
}

snapshot() {
    "$IMG" snapshot -l "$1" | awk "NR > 2 { print \$2 }" | grep -qx "$2" || return 0
    "$IMG" convert -l "snapshot.name=$2" -O raw "$1" .raw || wrong "snapshot $2 cannot be read"
    same_as "$3" || wrong "snapshot $2 has changed"
}

grows() {
    opens "$1" qcow2
    "$IMG" convert -f qcow2 -O raw "$1" .raw || wrong "cannot be read"
    truncate -s "$(stat -c %s "$2")" .raw
    "$REPLAY" sectors "$2" "$3" .raw
}

resumes() {
    local expected=$1 target=$2
    shift 2
    "$IMG" convert --resume "$@" "$target" >.said 2>&1 || wrong "cannot be resumed: $(cat .said)"
    cmp "$target" "$expected" || wrong "other bytes"
    rm "$target"
}

while [ $# -gt 0 ]; do
    words=()
    while [ $# -gt 0 ] && [ "$1" != and ]; do
        words+=("$1")
        shift
    done
    [ $# = 0 ] || shift
    "${words[@]}"
done
