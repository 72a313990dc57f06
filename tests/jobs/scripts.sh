#!/bin/bash
# The job scripts as texts: they parse, shellcheck has nothing to say, and each says how it is called.
. "$(dirname "$0")/../lib.sh"
jobs=$TESTS/../jobs
scripts=("$jobs"/*.sh "$jobs"/*.sbatch "$jobs"/*.pbs "$jobs"/*.lsf)
for script in "${scripts[@]}"; do
    checked
    shell=$(sed -n '1s|^#!/bin/||p' "$script")
    "$shell" -n "$script" || bad "$script does not parse"
    head -n 12 "$script" | grep -q "^#   .*${script##*/}" || bad "$script does not say how to call it"
    grep -q "\`${script##*/}\`" "$jobs/README.md" || bad "$script is not in jobs/README.md"
done
if command -v shellcheck >/dev/null; then
    for script in "${scripts[@]}"; do
        checked
        shellcheck -x "$script" || bad "shellcheck: $script"
    done
    # the parts of the Apptainer definition that are scripts
    checked
    awk '/^%(post|test)/ { on = 1; print "(" ; next }
         /^(%|Bootstrap)/ && on { on = 0; print ")" }
         on' "$jobs/mpi-img.def" | shellcheck -s sh -e SC1091 - || bad "shellcheck: mpi-img.def"
else
    echo "without shellcheck: the scripts were only parsed"
fi
finish
