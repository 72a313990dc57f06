# Sourced after lib.sh: a batch system of stand-ins. They stand first on the PATH and write down how
# they were called, one line each, in $T/told.
#
#   stand_in NAME <<'END'    a command; what follows is what it does then
#   program CODES...         the program: its first run ends with the first code, and so on; it keeps
#                            the names it was given in $T/ran
#   called NAME              what NAME was called with, a line each
# shellcheck shell=bash
JOBS=$TESTS/../jobs

batch() {
    scratch "$1"
    mkdir "$T/bin"
    PATH=$T/bin:$PATH
    : >"$T/told"
    cd "$T"
}

stand_in() {
    {
        echo "#!/bin/bash"
        printf 'echo "%s $*" >>"%s/told"\n' "$1" "$T"
        cat
    } >"$T/bin/$1"
    chmod +x "$T/bin/$1"
}

program() {
    printf '%s\n' "$@" >"$T/codes"
    stand_in mpi-img <<END
printf '%s\n' "\$*" "end=\${SLURM_JOB_END_TIME:-}" >>"$T/ran"
code=\$(head -n 1 "$T/codes")
sed -i 1d "$T/codes"
exit \${code:-0}
END
    rm -f "$T/ran"
    : >"$T/told"
}

called() {
    sed -n "s/^$1 //p" "$T/told"
}

# is WHAT WANTED GOT
is() {
    checked
    [ "$2" = "$3" ] || bad "$1: wanted '$2', got '$3'"
}

# has WHAT TEXT IN
has() {
    checked
    case $3 in
    *"$2"*) ;;
    *) bad "$1: no '$2' in '$3'" ;;
    esac
}
