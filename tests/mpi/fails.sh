#!/bin/sh
# fails.sh PATTERN COMMAND...: the command fails, and prints a line with that.
pattern=$1
shift
if out=$("$@" 2>&1); then
    echo "ended with 0"
    exit 1
fi
printf '%s\n' "$out"
printf '%s\n' "$out" | grep -q "$pattern"
