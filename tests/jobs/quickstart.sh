#!/bin/bash
# The first steps, as someone new takes them; here in the folder that is built already.
. "$(dirname "$0")/../lib.sh"
need_mpi
need cmake
[ -e "$BUILD/CMakeCache.txt" ] || skip "no build folder"
scratch 1000
BUILD=$BUILD TMPDIR=$T try sh "$TESTS/../jobs/quickstart.sh"
checked
[ $rc = 0 ] || { bad "exit $rc"; tail -n 20 "$T/.out" "$T/.err" >&2; }
grep -q '^Images are identical\.$' "$T/.out" || bad "the result was not compared"
grep -q '^All well\.' "$T/.out" || bad "it did not come to its end"
finish
