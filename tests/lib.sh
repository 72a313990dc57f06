# Sourced first by every test script. Gives: where the program is (IMG), the original to compare
# with (REF), a scratch folder that goes away (T), ways to run the program, to fail and to skip.
#
#   IMG=/usr/bin/qemu-img bash tests/interop/read.sh     the original stands in: it must pass too
#   KEEP=1                                               leave the scratch folder
# shellcheck shell=bash
set -euo pipefail
shopt -s nullglob
export LC_ALL=C TZ=UTC PATH="$PATH:/sbin:/usr/sbin"

TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=${BUILD:-$TESTS/../build}
IMG=${IMG:-$BUILD/mpi-img}
REF=${REF:-/usr/bin/qemu-img}
REF_IO=${REF_IO:-/usr/bin/qemu-io}
cases=0 failures=0 T=
command -v "$IMG" >/dev/null || { echo "FAIL: no program: $IMG (build first, or set IMG)" >&2; exit 1; }

# -- verdicts --------------------------------------------------------------------------------------

# The one exit of a test that could not be tried: ctest shows it as skipped.
skip() {
    echo "SKIP: $*"
    exit 77
}

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

# One check went wrong; the script goes on so that one run shows all that is wrong.
bad() {
    failures=$((failures + 1))
    echo "FAIL: $*" >&2
}

checked() {
    cases=$((cases + 1))
}

# The last line of every script: a test that checked nothing has failed.
finish() {
    [ "$cases" -gt 0 ] || fail "nothing was checked"
    echo "$cases checks, $failures failed"
    [ "$failures" = 0 ]
}

need() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null || skip "$tool is not installed"
    done
}

need_reference() {
    need "$REF" "$REF_IO"
}

# Is the program under test the original itself? Then what only ours can do is left out.
is_reference() {
    [ "$(readlink -f "$(command -v "$IMG")")" = "$(readlink -f "$REF")" ]
}

need_ours() {
    is_reference && skip "only ours has this"
    return 0
}

# -- scratch ---------------------------------------------------------------------------------------

free_mib() {
    df -Pm "$1" 2>/dev/null | awk 'NR == 2 { print $4 }'
}

# scratch MIB: a new folder T with room for that much, on a memory file system if there is one.
scratch() {
    local mib=$1 dir
    for dir in ${TEST_DIR:-} /dev/shm "${TMPDIR:-/tmp}" /var/tmp; do
        [ -d "$dir" ] && [ -w "$dir" ] && [ "$(free_mib "$dir")" -gt "$mib" ] || continue
        T=$(mktemp -d "$dir/mpi-img-test.XXXXXX")
        trap cleanup EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        return 0
    done
    skip "no folder with $mib MiB free (TEST_DIR names one)"
}

# Scripts that mount or start something put its end here.
at_exit=()
cleanup() {
    local rc=$? step
    for step in "${at_exit[@]}"; do
        eval "$step" || true
    done
    if [ -n "${KEEP:-}" ]; then
        echo "kept: $T" >&2
    else
        rm -rf "$T"
    fi
    exit $rc
}

# -- running ---------------------------------------------------------------------------------------

# try CMD...: run it, with rc, $T/.out and $T/.err to look at.
try() {
    rc=0
    "$@" >"$T/.out" 2>"$T/.err" </dev/null || rc=$?
}

# good CMD...: must succeed and say nothing on stderr (callers take any word there for an error).
good() {
    try "$@"
    checked
    if [ $rc != 0 ] || [ -s "$T/.err" ]; then
        bad "exit $rc: $*"
        sed 's/^/    /' "$T/.err" >&2
        return 1
    fi
}

# ranks N CMD...: the same under mpirun.
ranks() {
    local n=$1
    shift
    mpirun -n "$n" --oversubscribe "$@"
}

# Containers often forbid what these switch off; both only concern speed.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_btl=self,vader,tcp
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
export HWLOC_HIDE_ERRORS=2 # a chroot without /sys: words on stderr that are not ours

need_mpi() {
    need mpirun
    need_ours
}

# launcher_of MPI: the command that starts ranks of openmpi or mpich; nothing if there is none.
launcher_of() {
    local mpirun
    for mpirun in "mpirun.$1" mpirun; do
        command -v "$mpirun" >/dev/null || continue
        case $1,$("$mpirun" --version 2>&1) in
        openmpi,*"Open MPI"*) echo "$mpirun --oversubscribe"; return ;;
        mpich,*HYDRA*) echo "$mpirun"; return ;;
        esac
    done
}

# -- fixtures --------------------------------------------------------------------------------------

# pattern KIND BYTES [SEED]: noise (cannot be packed), text (can), zero. The same on every run.
pattern() {
    perl -e '
        my ($kind, $left, $seed) = @ARGV;
        srand($seed);
        while ($left > 0) {
            my $block = $kind eq "noise" ? pack("L*", map { int(rand(4294967296)) } 1 .. 4096)
                : $kind eq "text" ? join("", map { sprintf("line %d of %d\n", $_, rand(1000)) } 1 .. 900)
                : "\0" x 16384;
            $block = substr($block, 0, $left) if length($block) > $left;
            print $block;
            $left -= length($block);
        }' "$1" "$2" "${3:-1}"
}

# put FILE OFFSET KIND BYTES [SEED]: write a pattern into a file in place.
put() {
    pattern "$3" "$4" "${5:-1}" |
        dd of="$1" bs=1M seek="$2" oflag=seek_bytes iflag=fullblock conv=notrunc status=none
}

# patch_bytes FILE OFFSET HEX: for damaged images.
patch_bytes() {
    perl -e '
        open(my $f, "+<", $ARGV[0]) or die; seek($f, $ARGV[1], 0); print $f pack("H*", $ARGV[2])' \
        "$1" "$(($2))" "$3"
}

# be FILE OFFSET BYTES: an unsigned big-endian number out of a file.
be() {
    perl -e '
        open(my $f, "<", $ARGV[0]) or die; seek($f, $ARGV[1], 0); read($f, my $b, $ARGV[2]);
        my $v = 0; $v = $v * 256 + $_ for unpack("C*", $b); printf "%u\n", $v' "$1" "$(($2))" "$3"
}

hash_of() {
    sha256sum <"$1" | cut -c1-64
}
