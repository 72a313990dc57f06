#!/bin/bash
# One core, two MPIs: the launcher decides which module is loaded. The same bytes and exit codes
# under Open MPI and MPICH; without a launcher nothing of either is touched.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/same-bytes/engines.bash"
need_ours
scratch 600
guest "$T/guest"

# loads WHICH CMD...: the MPI libraries that CMD loads are exactly WHICH ("" for none)
loads() {
    local which=$1 seen
    shift
    checked
    seen=$(LD_DEBUG=files "$@" 2>&1 | grep -oE 'libmpi(ch)?\.so|libmpi-.*\.so|mpi-img-[a-z]+\.so' | sort -u | tr '\n' ' ' || true)
    [ "$seen" = "$which" ] || bad "loads '$seen', not '$which': $*"
}
loads "" env SLURM_PROCID=0 SLURM_NTASKS=4 "$IMG" convert -f raw -O qcow2 "$T/guest" "$T/alone"

mpis=()
for mpi in openmpi mpich; do
    if [ -n "$(launcher_of $mpi)" ] && [ -e "$(dirname "$IMG")/mpi-img-$mpi.so" ]; then
        mpis+=("$mpi")
    else
        echo "note: $mpi is left out, its launcher or its module is not there"
    fi
done
[ ${#mpis[@]} -gt 0 ] || skip "no MPI"

want=
for mpi in "${mpis[@]}"; do
    launch=$(launcher_of "$mpi")
    case $mpi in
    openmpi) loads "libmpi.so mpi-img-openmpi.so " $launch -n 1 "$IMG" info -f raw "$T/guest" ;;
    mpich) loads "libmpich.so mpi-img-mpich.so " $launch -n 1 "$IMG" info -f raw "$T/guest" ;;
    esac

    for format in raw qcow2 vmdk; do
        good "$IMG" convert -f raw -O $format "$T/guest" "$T/target" || continue
        want=$(hash_of "$T/target")
        rm "$T/target"
        for n in 2 3; do
            good $launch -n $n "$IMG" convert -f raw -O $format "$T/guest" "$T/target" || continue
            [ "$(hash_of "$T/target")" = "$want" ] || bad "$mpi, $n ranks, $format: other bytes"
        done
    done
    good $launch -n 3 "$IMG" convert -c -f raw -O qcow2 "$T/guest" "$T/packed.$mpi"
    cmp "$T/packed.$mpi" "$T/packed.${mpis[0]}" || bad "$mpi: packed differently"

    # exit codes: a difference is 1, what cannot be read 2; one rank speaks, all end with its code
    cp "$T/guest" "$T/other"
    put "$T/other" 5000000 noise 100 99
    try $launch -n 3 "$IMG" compare -f raw -F raw "$T/guest" "$T/other"
    checked
    [ $rc = 1 ] && grep -qx 'Content mismatch at offset .*!' "$T/.out" || bad "$mpi: compare: $rc"
    try $launch -n 3 "$IMG" compare "$T/guest" "$T/none"
    checked
    [ $rc = 2 ] && [ "$(grep -c 'Could not open' "$T/.err")" = 1 ] || bad "$mpi: missing file: $rc"
    try $launch -n 3 "$IMG" convert --no-such-option
    checked
    [ $rc = 1 ] && [ "$(grep -c unrecognized "$T/.err")" = 1 ] || bad "$mpi: wrong option: $rc"
done

# the other's launcher: refused by every rank, nothing is written
if [ ${#mpis[@]} = 2 ]; then
    for mpi in openmpi mpich; do
        other=mpich
        [ $mpi = openmpi ] || other=openmpi
        rm -f "$T/target"
        try env MPI_IMG_MPI=$other $(launcher_of $mpi) -n 2 "$IMG" convert -O raw "$T/guest" "$T/target"
        checked
        [ $rc != 0 ] && grep -q 'has started 2 ranks' "$T/.err" && [ ! -e "$T/target" ] ||
            bad "$other's module under $mpi's launcher: $rc"
    done
fi
finish
