#!/bin/bash
# Every way to write an image: it passes --safe where its format is named, unless it consists of
# several files, and is converted, read and compared as without.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/safe/safe.bash"
. "$TESTS/subformats.bash"
need_ours
scratch 300
cd "$T"
{ head -c 512 /dev/zero; pattern text 300000; } >data
truncate -s 4M data
put data 3000000 noise 100000

# Formats that a guess does not do for.
is_guessed() {
    case $1 in qcow2-extended | qcow | qed | parallels | vpc-fixed | luks | qcow2-luks) return 1 ;; esac
}

while read -r name format opts; do
    # shellcheck disable=SC2086  # words
    {
        passes "$IMG" convert -f raw -O "$format" $opts data "$name.img"
        as=$(opened "$name" "$format" "$name.img")
        case $name in
        vmdk-flat | vmdk-split*)
            refused vmdk.one-file "$IMG" info --safe $as
            refused second-file "$IMG" convert --safe -f raw -O "$format" $opts data out
            [ -z "$(compgen -G "out*")" ] || bad "$name: something is left"
            continue
            ;;
        esac
        passes "$IMG" info --safe $as
        passes "$IMG" info --safe --output=json --max-size 5M $as
        ! is_guessed "$name" || passes "$IMG" info --safe "$name.img"
        passes "$IMG" convert --safe $as -O raw out
        cmp -s -n 4194304 data out || bad "$name: another content"
        passes "$IMG" convert --safe --max-size 4M -f raw -O "$format" $opts data again.img
        rm -f out again.img
    }
done < <(subformats; printf 'qcow2-packed qcow2 -c\nqcow2-zstd qcow2 -c -o compression_type=zstd\n')
finish
