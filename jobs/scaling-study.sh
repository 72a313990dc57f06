#!/bin/bash
# How does a conversion, or a fleet, scale on this machine or in this batch job? Runs it on several
# numbers of ranks, several times each, and leaves in a folder
#   scaling.tsv    every run: ranks, repetition, seconds, exit code
#   scaling.txt    the table that is printed too: medians with their spread, speed-up, efficiency
#   scaling.svg    both drawn: median, spread, every run, the ideal
#
#   scaling-study.sh [OPTION...] -- convert [CONVERT-OPTION...] SOURCE TARGET
#   scaling-study.sh [OPTION...] -- fleet MANIFEST [FLEET-OPTION...]
#   scaling-study.sh --draw FOLDER                    table and drawing once more from scaling.tsv
#
#     -n "1 2 4 8"    numbers of ranks; default: 1, 2, 4 .. to the nodes of the job, or the CPUs
#     -r 5            runs of each
#     -t 16           threads of each rank; default: on several nodes all CPUs that a rank may use,
#                     on one machine its CPUs divided by the largest number of ranks
#     -o FOLDER       default: scaling-DATE-TIME
#     -b COMMAND      done before each run, untimed: empty a folder, drop a cache
#     -l LAUNCHER     what starts the ranks, %n their number: "srun --mpi=pmi2 -n %n"
#
# In a batch job: sbatch -N 16 --exclusive --wrap 'scaling-study.sh -- convert -O qcow2 a.raw b.qcow2'
# One rank a node as long as there are nodes. The runs of one number of ranks are spread over the
# whole study, which goes up and down through the numbers, so that a busy file system disturbs all
# alike. One run before all others warms caches up and does not count; a source larger than memory
# comes from storage each time. Targets are removed before each run, results of a fleet go into FOLDER.
# Column "start": seconds that a conversion of nothing takes on so many ranks.
set -euo pipefail
export LC_ALL=C
PROGRAM=${PROGRAM:-mpi-img}

usage() {
    sed -n '/^#   scaling-study.sh \[/,/^#     -l/ s/^# \{0,3\}//p' "$0" >&2
    exit 1
}

die() {
    echo "scaling-study.sh: $*" >&2
    exit 1
}

# -- what and on what ------------------------------------------------------------------------------

nodes_here() {
    if [ -n "${SLURM_JOB_NUM_NODES:-}" ]; then
        echo "$SLURM_JOB_NUM_NODES"
    elif [ -r "${PBS_NODEFILE:-}" ]; then
        sort -u "$PBS_NODEFILE" | wc -l
    elif [ -n "${LSB_MCPU_HOSTS:-}" ]; then
        echo "$LSB_MCPU_HOSTS" | awk '{ print NF / 2 }'
    else
        echo 1
    fi
}

launcher_here() {
    if [ -n "${SLURM_JOB_ID:-}" ] && [[ $(srun --mpi=list 2>&1) == *pmix* ]]; then
        # one method to wait for all ranks: see slurm-one.sbatch
        echo "env SLURM_PMIX_FENCE=${SLURM_PMIX_FENCE:-tree}" \
            "srun --mpi=pmix --kill-on-bad-exit=0 --distribution=cyclic -n %n" \
            ${SLURM_CPUS_PER_TASK:+"--cpus-per-task=$SLURM_CPUS_PER_TASK"}
        return
    fi
    local of=
    [ ! -r "${PBS_NODEFILE:-}" ] || of=" --hostfile $PBS_NODEFILE"
    case $(mpirun --version 2>&1) in
    *"Open MPI"* | *OpenRTE*) echo "mpirun$of --map-by node --bind-to none --oversubscribe -n %n" ;;
    *HYDRA*) echo "mpirun${of/--hostfile/-f} -n %n" ;;
    *) die "no srun with PMIx and no mpirun: name a launcher (-l)" ;;
    esac
}

# 1, 2, 4 .. up to N, and N itself
doubling() {
    local i
    for ((i = 1; i < $1; i *= 2)); do echo "$i"; done
    echo "$1"
}

# -- running ---------------------------------------------------------------------------------------

on_ranks() {
    local n=$1
    shift
    "${launch[@]//%n/$n}" "$PROGRAM" "$@" </dev/null
}

nanoseconds() {
    date +%s%N
}

# timed N CMD...: seconds in $seconds, exit code in $code
timed() {
    local n=$1 begin
    shift
    begin=$(nanoseconds)
    code=0
    on_ranks "$n" "$@" >>"$folder/log" 2>&1 || code=$?
    seconds=$(awk -v t=$(($(nanoseconds) - begin)) 'BEGIN { printf "%.3f", t / 1e9 }')
}

# measure N REPETITION: the command itself, from a clean start
measure() {
    local n=$1 rep=$2 words=("${command[@]}")
    [ -z "$before" ] || bash -c "$before" || die "failed: $before"
    case ${words[0]} in
    convert) rm -f "${words[-1]}" ;;
    fleet) words+=("--results=$folder/results-$n-$rep.jsonl") ;;
    esac
    timed "$n" "${words[0]}" ${threads:+"--threads=$threads"} "${words[@]:1}"
}

study() {
    local rep n order=("${counts[@]}")
    echo "# ${PROGRAM##*/} ${command[*]}" >"$folder/scaling.tsv"
    echo "# $(uname -n), nodes: $nodes, threads a rank: ${threads:-all CPUs}, $(date +%F)" >>"$folder/scaling.tsv"
    printf 'ranks\trun\tseconds\tcode\tstart\n' >>"$folder/scaling.tsv"
    truncate -s 1M "$folder/nothing.raw"
    measure "${counts[-1]}" warm-up
    for ((rep = 1; rep <= runs; rep++)); do
        for n in "${order[@]}"; do
            timed "$n" convert -f raw -O raw "$folder/nothing.raw" "$folder/nothing"
            local start=$seconds
            measure "$n" "$rep"
            printf '%d\t%d\t%s\t%d\t%s\n' "$n" "$rep" "$seconds" "$code" "$start" |
                tee -a "$folder/scaling.tsv" |
                awk '{ printf "run %d on %d: %.2f s%s\n", $2, $1, $3, $4 ? ", FAILED: " $4 : "" }' >&2
        done
        mapfile -t order < <(printf '%s\n' "${order[@]}" | tac)
    done
    rm -f "$folder/nothing.raw" "$folder/nothing"
}

# -- what came out ---------------------------------------------------------------------------------

# Reads scaling.tsv: median, spread, speed-up and so on of each number of ranks, in their order.
# shellcheck disable=SC2016  # $ is awk's
statistics='
    function median(list, n,    i, j, v) {
        for (i = 2; i <= n; i++) {
            v = list[i]
            for (j = i; j > 1 && list[j - 1] > v; j--) list[j] = list[j - 1]
            list[j] = v
        }
        return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
    }
    function of_ranks(n,    i, t, s) {
        for (i = 1; i <= runs[n]; i++) {
            t[i] = seconds[n, i]
            s[i] = starts[n, i]
        }
        start[n] = median(s, runs[n])
        mid[n] = median(t, runs[n])
        least[n] = t[1]
        most[n] = t[runs[n]]
    }
    BEGIN { FS = "\t" }
    /^# / { about[++abouts] = substr($0, 3) }
    /^[0-9]/ && !($1 in failed) { failed[$1] = 0; order[++counts] = $1 + 0 }
    /^[0-9]/ && $4 != 0 { failed[$1]++ }
    /^[0-9]/ && $4 == 0 { runs[$1]++; seconds[$1, runs[$1]] = $3 + 0; starts[$1, runs[$1]] = $5 + 0 }
    END {
        median(order, counts) # sorts
        for (i = 1; i <= counts; i++)
            if (runs[order[i]]) {
                of_ranks(order[i])
                measured[++n_measured] = order[i]
            }
        base = measured[1]
        for (i = 1; i <= n_measured; i++) {
            speedup[measured[i]] = mid[base] / mid[measured[i]]
            efficiency[measured[i]] = speedup[measured[i]] * base / measured[i]
        }
    }'

table() {
    awk "$statistics"'
        END {
            printf "%6s %5s %10s %10s %10s %9s %11s %8s\n", "ranks", "runs", "seconds", "least",
                "most", "speed-up", "efficiency", "start"
            for (i = 1; i <= counts; i++) {
                n = order[i]
                if (runs[n])
                    printf "%6d %5d %10.2f %10.2f %10.2f %9.2f %9.0f %% %8.2f%s\n", n, runs[n], mid[n],
                        least[n], most[n], speedup[n], 100 * efficiency[n], start[n],
                        failed[n] ? "   and " failed[n] " failed" : ""
                else
                    printf "%6d %5d   all failed\n", n, 0
            }
        }' "$1"
}

# Two panels, speed-up and efficiency. Axes are linear up to eightfold, logarithmic beyond.
drawing() {
    awk "$statistics"'
        function xml(s) {
            gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s)
            return s
        }
        function text(x, y, anchor, class, s) {
            printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">%s</text>\n",
                x, y, anchor, class, xml(s)
        }
        function line(x1, y1, x2, y2, class) {
            printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n",
                x1, y1, x2, y2, class
        }
        function dot(x, y, r, class) {
            printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" class=\"%s\"/>\n", x, y, r, class
        }
        # positions: of so many ranks; of a value in the panel that is drawn
        function px(n) {
            return left + WIDTH * (logs ? log(n / base) / log(last / base) : (n / base - x0) / (last / base - x0))
        }
        function py(v) {
            return BOTTOM - HEIGHT * (y_logs ? log(v / y0) / log(y1 / y0) : (v - y0) / (y1 - y0))
        }
        function frame(title, unit,    i, n, used) {
            text(left, BOTTOM - HEIGHT - 14, "start", "title", title)
            used = -99
            for (i = 1; i <= n_measured; i++) {
                n = measured[i]
                line(px(n), BOTTOM, px(n), BOTTOM - HEIGHT, "grid")
                if (px(n) - used < 24) continue
                text(px(n), BOTTOM + 18, "middle", "tick", n)
                used = px(n)
            }
            text(left + WIDTH / 2, BOTTOM + 38, "middle", "label", "ranks")
        }
        function y_tick(v, s) {
            line(left, py(v), left + WIDTH, py(v), "grid")
            text(left - 8, py(v) + 4, "end", "tick", s)
        }
        # what is "up": of the panel value of n ranks in t seconds
        function value(n, t) {
            return what == "speedup" ? mid[base] / t : mid[base] / t * base / n
        }
        function curve(    i, j, n, d) {
            for (i = 1; i <= n_measured; i++) {
                n = measured[i]
                for (j = 1; j <= runs[n]; j++) dot(px(n), py(value(n, seconds[n, j])), 2.5, "run")
                line(px(n), py(value(n, least[n])), px(n), py(value(n, most[n])), "spread")
                d = d (i == 1 ? "M" : "L") sprintf("%.1f %.1f ", px(n), py(value(n, mid[n])))
            }
            print "<path d=\"" d "\" class=\"curve\"/>"
            for (i = 1; i <= n_measured; i++) {
                n = measured[i]
                dot(px(n), py(value(n, mid[n])), 4, "median")
                text(px(n) + 7, py(value(n, mid[n])) + (what == "speedup" ? 15 : -8), "start", "value",
                    what == "speedup" ? sprintf("%.2f", speedup[n]) : sprintf("%.0f %%", 100 * efficiency[n]))
            }
        }
        function panel_speedup(    i, v) {
            what = "speedup"
            left = 60
            y_logs = logs
            y0 = logs ? 1 : 0
            y1 = last / base
            for (i = 1; i <= n_measured; i++) {
                if (value(measured[i], least[measured[i]]) > y1) y1 = value(measured[i], least[measured[i]])
                if (logs && value(measured[i], most[measured[i]]) < y0) y0 = value(measured[i], most[measured[i]])
            }
            y1 *= 1.04
            frame("Speed-up over " base (base == 1 ? " rank" : " ranks"))
            for (v = logs ? 1 : 0; v <= y1; v = logs ? v * 2 : v + 1) y_tick(v, v)
            line(px(x0 * base), py(x0), px(last), py(last / base), "ideal")
            text(px(last) - 12, py(last / base) + (logs ? 2 : -2), "end", "tick", "ideal")
            curve()
        }
        function panel_efficiency(    i, v) {
            what = "efficiency"
            left = 540
            y_logs = 0
            y0 = 0
            y1 = 1.04
            for (i = 1; i <= n_measured; i++)
                if (value(measured[i], least[measured[i]]) > y1) y1 = value(measured[i], least[measured[i]]) * 1.02
            frame("Efficiency")
            for (v = 0; v <= y1; v += 0.2) y_tick(v, sprintf("%.0f %%", 100 * v))
            line(px(x0 * base), py(1), px(last), py(1), "ideal")
            curve()
        }
        END {
            if (n_measured == 0) exit 1
            WIDTH = 390; HEIGHT = 290; BOTTOM = 370
            last = measured[n_measured]
            logs = last / base > 8
            x0 = logs || last == base ? 1 : 0
            if (last == base) last = base * 2
            print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"980\" height=\"470\"" \
                " viewBox=\"0 0 980 470\" font-family=\"sans-serif\">"
            print "<title>Scaling of " xml(about[1]) "</title>"
            print "<style>.grid{stroke:#e4e4e4}.ideal{stroke:#999;stroke-dasharray:5 4}" \
                ".curve{fill:none;stroke:#1f5fa8;stroke-width:2}.median{fill:#1f5fa8}" \
                ".spread{stroke:#1f5fa8;stroke-width:1.2}.run{fill:#1f5fa8;opacity:.3}" \
                ".title{font-size:15px;font-weight:bold}.head{font-size:13px}" \
                ".label{font-size:13px}.tick{font-size:12px;fill:#555}" \
                ".value{font-size:12px;fill:#1f5fa8;stroke:#fff;stroke-width:4px;paint-order:stroke}.note{font-size:11px;fill:#777}</style>"
            print "<rect width=\"980\" height=\"470\" fill=\"#fff\"/>"
            text(60, 28, "start", "head", length(about[1]) > 125 ? substr(about[1], 1, 122) "..." : about[1])
            panel_speedup()
            panel_efficiency()
            text(60, 448, "start", "note", about[2] "; medians of " runs[base] \
                " runs, from the fastest to the slowest; start-up of MPI included")
            print "</svg>"
        }' "$1"
}

report() {
    [ -r "$folder/scaling.tsv" ] || die "no $folder/scaling.tsv"
    table "$folder/scaling.tsv" | tee "$folder/scaling.txt"
    drawing "$folder/scaling.tsv" >"$folder/scaling.svg" || die "nothing to draw: all runs failed, see $folder/log"
    echo "$folder/scaling.svg"
}

# -- the command line ------------------------------------------------------------------------------

counts=() runs=5 threads='' folder=scaling-$(date +%Y%m%d-%H%M%S) before='' launcher=''
if [ "${1:-}" = --draw ]; then
    [ $# = 2 ] || usage
    folder=$2
    report
    exit
fi
while getopts n:r:t:o:b:l: option; do
    case $option in
    n) read -ra counts <<<"${OPTARG//,/ }" ;;
    r) runs=$OPTARG ;;
    t) threads=$OPTARG ;;
    o) folder=$OPTARG ;;
    b) before=$OPTARG ;;
    l) launcher=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
command=("$@")
case ${1:-} in
convert) [ $# -ge 3 ] || usage ;;
fleet) [ $# -ge 2 ] || usage ;;
*) usage ;;
esac

nodes=$(nodes_here)
cpus=$(nproc)
[ ${#counts[@]} -gt 0 ] || mapfile -t counts < <(doubling $((nodes > 1 ? nodes : cpus)))
mapfile -t counts < <(printf '%d\n' "${counts[@]}" | sort -nu)
if [ -z "$threads" ] && [ "$nodes" = 1 ]; then
    threads=$((cpus / counts[-1]))
    [ "$threads" -gt 0 ] || threads=1
fi
[ -n "$launcher" ] || launcher=$(launcher_here)
read -ra launch <<<"$launcher"

mkdir -p "$folder"
study
report
awk -F '\t' '/^[0-9]/ && $4 != 0 { exit 1 }' "$folder/scaling.tsv"
