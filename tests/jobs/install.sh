#!/bin/bash
# What is installed is whole: the program with its modules, the page, the completion, job scripts, and
# modulefiles that lead to them, under a prefix that was not known when it was built.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/jobs/batch.bash"
need cmake
[ -e "$BUILD/cmake_install.cmake" ] || skip "no build folder to install from"
batch 100
prefix="$T/an inst"
good cmake --install "$BUILD" --prefix "$prefix"
at() {
    checked
    [ -s "$prefix/$1" ] || bad "not installed: $1"
}
at share/man/man1/mpi-img.1
at share/bash-completion/completions/mpi-img
for job in scaling-study.sh slurm-one.sbatch slurm-fleet.sbatch slurm-array.sbatch pbs-one.pbs \
    pbs-fleet.pbs lsf-one.lsf README.md; do
    at share/mpi-img/jobs/$job
done
version=$(sed -n 's/^project(mpi-img VERSION \([0-9.]*\).*/\1/p' "$TESTS/../CMakeLists.txt")
modules="$prefix/share/mpi-img/modulefiles"

# tell COMMAND...: what a shell has after it
tell() {
    "$@" 'command -v mpi-img; echo "$MPI_IMG_JOBS"'
}
wanted="$prefix/bin/mpi-img
$prefix/share/mpi-img/jobs"

if command -v tclsh >/dev/null; then
    cat >stubs.tcl <<'END'
proc module-whatis {text} {}
proc conflict {name} {}
proc prepend-path {name value} { puts "$name=$value" }
proc setenv {name value} { puts "$name=$value" }
set ::env(MANPATH) x
source [lindex $argv 0]
ModulesHelp
END
    try tclsh stubs.tcl "$modules/mpi-img/$version"
    is "Tcl" "PATH=$prefix/bin
MANPATH=$prefix/share/man
MPI_IMG_JOBS=$prefix/share/mpi-img/jobs" "$(cat .out)"
    has "Tcl help" "man mpi-img" "$(cat .err)"
fi
lua=$(command -v lua5.4 || command -v lua5.3 || command -v lua) || lua=
if [ -n "$lua" ]; then
    cat >stubs.lua <<'END'
function whatis() end
help = whatis; conflict = whatis
function pathJoin(a, b) return a .. "/" .. b end
function prepend_path(name, value) print(name .. "=" .. value) end
setenv = prepend_path
dofile(arg[1])
END
    MANPATH=x try "$lua" stubs.lua "$modules/mpi-img/$version.lua"
    is "Lua" "PATH=$prefix/bin
MANPATH=$prefix/share/man
MPI_IMG_JOBS=$prefix/share/mpi-img/jobs" "$(cat .out)"
fi

# the module systems themselves; Debian's places
tcl_modules=$(echo /usr/share/modules/init/bash /etc/profile.d/modules.sh | tr ' ' '\n' | while read -r f; do
    [ ! -r "$f" ] || { echo "$f"; break; }; done)
if [ -n "$tcl_modules" ] && [ -x /usr/bin/tclsh ]; then
    is "Environment Modules" "$wanted" "$(env -i PATH=/usr/bin:/bin HOME="$T" bash -c \
        '. "$1"; module use "$2"; module load mpi-img; command -v mpi-img; echo "$MPI_IMG_JOBS"
         module unload mpi-img; ! command -v mpi-img' - "$tcl_modules" "$modules" 2>&1)"
else
    echo "without environment-modules"
fi
if [ -r /usr/share/lmod/lmod/init/bash ]; then
    is "Lmod" "$wanted" "$(env -i PATH=/usr/bin:/bin HOME="$T" bash -c \
        '. "$1"; module use "$2"; module load mpi-img; command -v mpi-img; echo "$MPI_IMG_JOBS"
         module unload mpi-img; ! command -v mpi-img' - /usr/share/lmod/lmod/init/bash "$modules" 2>&1)"
else
    echo "without lmod"
fi

# the installed program finds its own modules
put disk.raw 0 text 1000000
good "$prefix/bin/mpi-img" convert -O qcow2 disk.raw disk.qcow2
for mpi in openmpi mpich; do
    launcher=$(launcher_of $mpi)
    [ -n "$launcher" ] && [ -e "$prefix/lib/mpi-img/mpi-img-$mpi.so" ] || continue
    # shellcheck disable=SC2086
    good $launcher -n 2 "$prefix/bin/mpi-img" convert -O qcow2 disk.raw two.qcow2
    cmp disk.qcow2 two.qcow2 || bad "$mpi: other bytes"
done
finish
