#!/bin/sh
# sh tests/fuzz/run.sh [SECONDS [FORMAT...]]   each reader of images against hostile bytes
#
# Builds with clang in build-fuzz, makes images to begin with, runs the fuzzer of each format (or of
# those named) for so many seconds (20) and says what was found. What was found stands in
# build-fuzz/found/<format>/; one that is mended becomes a sample: tests/fuzz/samples/<format>/. What
# was learnt is kept in build-fuzz/corpus/<format>/ for the next run.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build-fuzz}
seconds=${1:-20}
[ $# = 0 ] || shift

command -v clang >/dev/null || { echo "SKIP: clang is not installed"; exit 77; }
if command -v ninja >/dev/null; then generator=Ninja; else generator='Unix Makefiles'; fi
cmake -G "$generator" -S "$top" -B "$build" -DFUZZ=ON -DCMAKE_C_COMPILER=clang >/dev/null
cmake --build "$build" --target fuzzers fuzz_samples mpi-img -j "$(nproc)" >"$build/fuzz.log" ||
    { tail -n 30 "$build/fuzz.log"; exit 1; }

formats=$*
[ -n "$formats" ] || formats=$(cd "$build" && ls tests/fuzz | sed -n 's/^fuzz_//p' | grep -v samples)
failed=0
for format in $formats; do
    fuzzer=$build/tests/fuzz/fuzz_$format corpus=$build/corpus/$format found=$build/found/$format
    samples=$top/tests/fuzz/samples/$format
    [ -x "$fuzzer" ] || { echo "$format: no such format"; failed=1; continue; }
    mkdir -p "$corpus" "$found"
    bash "$top/tests/fuzz/seeds.sh" "$format" "$build/tests/fuzz/fuzz_samples" \
        "$build/mpi-img" "$corpus"
    before=$(ls "$found" | wc -l)
    [ -d "$samples" ] || samples=
    rc=0
    # shellcheck disable=SC2086  # none or one
    (cd "$found" && ASAN_OPTIONS=quarantine_size_mb=32 "$fuzzer" "$corpus" $samples -max_total_time="$seconds" -max_len=300000 \
        -timeout=10 -report_slow_units=60 -rss_limit_mb=512 -malloc_limit_mb=256 -artifact_prefix="$found/" \
        -print_final_stats=1 -verbosity=1) >"$build/fuzz_$format.log" 2>&1 || rc=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/fuzz_$format.log")
    new=$(($(ls "$found" | wc -l) - before))
    echo "$format: ${runs:-no} runs, $(ls "$corpus" | wc -l) inputs kept, $new found"
    [ $rc = 0 ] || {
        failed=1
        grep -m1 -E 'ERROR|SUMMARY|runtime error|image\.c:' "$build/fuzz_$format.log" || true
        echo "  see $build/fuzz_$format.log and $found/"
    }
done
exit $failed
