#!/bin/bash
# The shape of the source tree: who may include whom, how long things may be, what stands at the
# top. Prints what breaks a rule; no output is good.
#
#   base ◀─ io ◀─ image ◀─▶ formats ◀─ flow ◀─ fleet ◀─ cmd ◀─ main
#                                       (cli: base and the option tables)
#   mpi: base alone                       flow, fleet ─▶ mpi/{unit,engine}.h; fleet ─▶ mpi/{crowd,frontier}.h
#   report: base alone                    cmd ─▶ report
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

# every file of the project; without git (a release archive) all that is here but build folders
files() {
    { git ls-files -co --exclude-standard 2>/dev/null ||
        find . -type f -not -path './build*' -not -path './.*' -printf '%P\n'; } | sort -u
}

sources() {
    local folder
    for folder; do
        files | grep "^$folder/.*\.[ch]$" || true
    done
}

# allowed FOLDER PATTERN: files of FOLDER may include only what matches (as written in quotes).
allowed() {
    local file
    sources "$1" | grep -E "^$1/[^/]*$" | while read -r file; do
        grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$file" |
            grep -vE "include[[:space:]]*\"($2)\"" || true
    done | sed 's/^/include points the wrong way: /'
}

includes() {
    local base='base/[a-z0-9_]+\.h' io='io/[a-z0-9_]+\.h'
    allowed src/base "$base"
    allowed src/io "$base|$io"
    allowed src/image "$base|$io|image/[a-z0-9_]+\.h|formats/[a-z0-9_]+\.h|formats/(codec/codec|crypt/crypt)\.h"
    allowed src/flow "$base|$io|image/[a-z0-9_]+\.h|formats/[a-z0-9_]+\.h|formats/(codec/codec|crypt/crypt)\.h|flow/[a-z0-9_]+\.h|mpi/(unit|engine)\.h"
    allowed src/report "$base|report/[a-z0-9_]+\.h"
    allowed src/cli "$base|cli/[a-z0-9_]+\.h|formats/(options|format|safety)\.h|flow/progress\.h"
    allowed src/fleet "$base|$io|image/[a-z0-9_]+\.h|formats/[a-z0-9_]+\.h|flow/[a-z0-9_]+\.h|fleet/[a-z0-9_]+\.h|mpi/(unit|engine|crowd|frontier)\.h"
    allowed src/cmd "$base|cli/[a-z0-9_]+\.h|report/[a-z0-9_]+\.h|cmd/[a-z0-9_]+\.h|flow/[a-z0-9_]+\.h|fleet/[a-z0-9_]+\.h|image/[a-z0-9_]+\.h|$io|formats/[a-z0-9_]+\.h|mpi/engine\.h"
    local driver="$base|$io|image/(image|extent|secret)\.h|formats/[a-z0-9_]+\.h|formats/codec/codec\.h|formats/crypt/[a-z0-9_]+\.h"
    local folder
    allowed formats "$driver"
    for folder in $(sources formats | cut -d/ -f2 | grep -v '\.' | sort -u); do
        case $folder in codec | crypt) continue ;; esac
        allowed "formats/$folder" "$driver|formats/$folder/[a-z0-9_]+\.h"
    done
    allowed formats/codec "$base|formats/codec/[a-z0-9_]+\.h"
    allowed formats/crypt "$base|$io|formats/crypt/[a-z0-9_]+\.h|image/secret\.h|formats/options\.h"
    allowed mpi "$base|mpi/[a-z0-9_]+\.h"
    sources src mpi formats | xargs grep -nE '#[[:space:]]*include[[:space:]]*<mpi\.h>' |
        grep -v '^mpi/mpi\.c:' | sed 's/^/<mpi.h> outside mpi\/mpi.c: /' || true
}

# Nothing below cmd/ prints to the user, exits or aborts.
silence() {
    sources src/base src/io src/image src/flow src/fleet src/cli src/report formats mpi | grep '\.c$' |
        grep -vE '^src/cli/' |
        xargs grep -nE '(^|[^a-z_])(printf|puts|perror|exit|_exit|abort)[[:space:]]*\(|fprintf\((stdout|stderr)' |
        grep -vE '^\S+:\s*(/?\*|//)' | sed 's/^/prints or exits below cmd: /' || true
}

lengths() {
    sources src mpi formats tests | while read -r f; do
        awk -v f="$f" '
            /^\{/ { start = FNR }
            /^\}/ { if (start && FNR - start > 100)
                        print "function over 100 lines: " f ":" start ": " FNR - start
                    start = 0 }
            start && /^[ \t]*#[ \t]*if/ { print "#if inside a function: " f ":" FNR }
            END { if (FNR > 700) print "file over 700 lines: " f ": " FNR }' "$f"
    done
}

top_level() {
    files | cut -d/ -f1 | sort -u |
        grep -vxE 'CMakeLists\.txt|README\.md|LICENSE|src|mpi|formats|tests|jobs|\..*' |
        sed 's/^/at the top level: /' || true
}

found=$(includes && silence && lengths && top_level)
[ -z "$found" ] || {
    echo "$found"
    exit 1
}
