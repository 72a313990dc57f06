#!/bin/bash
# --verify: one wrong bit in what reaches the storage, in any write of a conversion. Either it is
# found, and then the output does not get its name, or the image holds what it should all the same.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/fault/sweep.bash"
need_reference
need_ours
scratch 300
sources

# judge_flip NAME FORMAT
judge_flip() {
    checked
    case $rc in
    0) "$IMG" compare -q -f raw -F "$2" raw target || bad "$1: exit 0, but the target is wrong" ;;
    1)
        one_error "$1"
        [ ! -e target ] || bad "$1: exit 1, and the target stands there"
        no_leftovers "$1"
        found=$((found + 1))
        ;;
    *) bad "$1: exit $rc: $(tail -n 3 "$T/.err")" ;;
    esac
}

# flips NAME FORMAT LEAST ARGS...: convert with ARGS; at least LEAST % of the wrong bits matter.
flips() {
    local name=$1 format=$2 least=$3 n total tried=0
    shift 3
    prepare none
    total=$(count_calls flip "$IMG" convert --verify -O "$format" "$@" target)
    [ -e target ] || { bad "$name: does not even run: $(cat "$T/.err")"; return; }
    found=0
    for n in $(numbers "$total" 20); do
        prepare none
        with_fault "flip:$n:5" "$IMG" convert --verify -O "$format" "$@" target
        judge_flip "$name: write $n of $total" "$format"
        tried=$((tried + 1))
    done
    echo "$name: $total writes, $found wrong bits of $tried found"
    [ $((100 * found)) -ge $((least * tried)) ] || bad "$name: wrong bits are not found"
}

flips raw raw 100 -f raw raw
flips "raw, one thread" raw 100 --threads 1 -f raw raw
flips qcow2 qcow2 50 -f raw raw
flips "qcow2, packed" qcow2 50 -c -f raw raw
flips "packed to vmdk" vmdk 50 packed
flips "flat vmdk" vmdk 50 -o subformat=monolithicFlat -f raw raw
flips vhdx vhdx 20 -f raw raw

# without --verify nobody looks
prepare none
with_fault flip:1:5 "$IMG" convert --threads 1 -f raw -O raw raw target
checked
[ $rc = 0 ] && ! cmp -s raw target || bad "the bit was right: this proves nothing"

# what stood under the name stays
prepare old
with_fault flip:1:5 "$IMG" convert --verify --threads 1 -f raw -O raw raw target
checked
[ $rc = 1 ] && [ "$(hash_of target)" = "$old" ] || bad "the old target is gone"
grep -q "^mpi-img: Verifying 'target' failed: it holds " "$T/.err" || bad "other words: $(cat "$T/.err")"

# an existing target is written in place: it can only be told
cp raw target
good "$IMG" convert -n --verify -f raw -O raw raw target
with_fault flip:1:5 "$IMG" convert -n --verify --threads 1 -f raw -O raw raw target
checked
[ $rc = 1 ] || bad "-n: exit $rc"
one_error "-n"

# calls that fail while it is read back are told as those before are
for spec in read:$EIO open:$EACCES sync:$EIO; do
    sweep_target "verify" "${spec%:*}" "${spec#*:}" 30 \
        "$IMG" convert --hash --verify --threads 2 -f raw -O qcow2 raw target
done

# on another rank than the first
if command -v mpirun >/dev/null; then
    truncate -s 64M raw
    for i in 5 13 20 33 47 58; do
        put raw $((i * 1048576)) noise 1500000 $i
    done
    for format in raw qcow2; do
        prepare none
        FAULT=flip:1:5:1 FAULT_DIR=$T/work try timeout -k 5 60 \
            mpirun -n 3 --oversubscribe -x LD_PRELOAD="$FAULT_SHIM" -x FAULT -x FAULT_DIR \
            "$IMG" convert --verify -f raw -O $format raw target
        checked
        [ $rc = 1 ] || bad "$format, a wrong bit of rank 1: exit $rc"
        grep -q "Verifying 'target' failed" "$T/.err" || bad "$format, ranks: $(cat "$T/.err")"
        no_leftovers "$format, ranks"
    done
else
    echo "note: no mpirun, a wrong bit of another rank is not tried"
fi
finish
