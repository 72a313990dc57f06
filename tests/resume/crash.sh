#!/bin/bash
# Every state that a stop or a power cut may leave of a conversion, and of one that was gone on
# with: the same command ends it, with the right bytes.
. "$(dirname "$0")/../lib.sh"
. "$TESTS/resume/resume.bash"
. "$TESTS/crash/crash.bash"
need_ours
need_reference
scratch 300
MOMENTS=${CRASH_MOMENTS:-12}
export MPI_IMG_CHECKPOINT=0 MPI_IMG_SEED=1
guest "$T/source" 9

# each CRASH NAME ARGS...: of a conversion to NAME from the beginning, and from the middle
each() {
    local crash=$1 name=$2
    shift 2
    prepare
    good "$IMG" convert "$@" "$T/source" "$name" || return 0
    mv "$name" "$T/expected"
    "$crash" "$name, from the beginning" "$IMG" convert --resume --threads 2 -r 8M "$@" "$T/source" "$name" \
        -- resumes "$T/expected" "$name" "$@" "$T/source"
    [ "$crash" = crash ] || return 0
    prepare
    cd "$T"
    (cd "$T/work" && ln -s "$T/source" source && stopped_at 50 "$name" "$@" "$T/source" && rm source)
    cd "$T/work"
    crash "$name, from the middle" "$IMG" convert --resume --threads 2 -r 8M "$@" "$T/source" "$name" \
        -- resumes "$T/expected" "$name" "$@" "$T/source"
}

each crash image.qcow2 -O qcow2
each crash packed.qcow2 -c -O qcow2
each crash image.raw -O raw
each crash image.vhdx -O vhdx -o block_size=1M
each crash stream.vmdk -O vmdk -o subformat=streamOptimized
MOMENTS=40
each crash_unsynced image.raw -O raw
each crash_unsynced image.qcow2 -O qcow2
finish
