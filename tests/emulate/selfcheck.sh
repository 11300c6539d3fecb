#!/usr/bin/env bash
# Checks avx512-run itself, in 15 to 25 s: that the guest has AVX-512 and gets
# right values from it, and that statuses, streams and limits come back. Options
# are passed on to avx512-run (-c corei7_haswell_4770 must fail, for instance).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/avx512-selfcheck.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
options=("$@")
guest=$work/selfcheck_guest

flags=(-std=gnu11 -O2 -Wall -Wextra -ffp-contract=off)
gcc "${flags[@]}" -fPIC -shared -mavx512f -mavx512bw -mavx512dq -mavx512vl \
    -o "$work/libselfcheck_zmm.so" "$here/selfcheck_zmm.c" -lm
gcc "${flags[@]}" -fopenmp -o "$guest" "$here/selfcheck_guest.c" \
    -L"$work" -lselfcheck_zmm "-Wl,-rpath,$work"

# start NAME OPTION-OR-ARGUMENT...: a run in the background, one per CPU
start() {
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
        wait -n || true
    done
    local name=$1
    shift
    (
        status=0
        "$here/avx512-run" "${options[@]}" "$@" \
            >"$work/$name.out" 2>"$work/$name.err" || status=$?
        echo $status >"$work/$name.status"
    ) &
}

failures=0
# check NAME WHAT CONDITION...
check() {
    local name=$1 what=$2
    shift 2
    if "$@"; then
        echo "ok: $what"
    else
        echo "FAILED: $what (status $(cat "$work/$name.status"))"
        sed 's/^/    /' "$work/$name.err"
        failures=$((failures + 1))
    fi
}
has_status() { [ "$(cat "$work/$1.status")" = "$2" ]; }
mentions() { grep -q -- "$2" "$work/$1.err"; }
streams_are_right() {
    cmp -s "$work/all_bytes" "$work/streams.out" && mentions streams 'to standard error'
}

for byte in {0..255}; do
    # shellcheck disable=SC2059 # the byte is the format
    printf "\\$(printf %03o "$byte")"
done >"$work/all_bytes"

# several programs in one boot
start streams -f "$guest" /bin/sh -c \
    "$guest features && $guest arithmetic && ! $guest planted && exec $guest streams"
start without_avx512 -c corei7_haswell_4770 "$guest" features
start crash -f "$guest" /bin/sh -c "$guest sigill; [ \$? = 132 ] && exec $guest sigsegv"
start hang -t 2 "$guest" hang
start missing "$work/no_such_program"
wait

check streams 'AVX-512 F, BW, DQ, VL and right values; exit status' has_status streams 7
check streams 'a planted error is found' mentions streams 'fused multiply-add: wrong'
check streams 'standard output and error, all bytes' streams_are_right
check without_avx512 'a CPU without AVX-512 is told' has_status without_avx512 1
check without_avx512 'what it lacks is named' mentions without_avx512 'lacks avx512f'
check crash 'SIGILL gives 128 + 4 in the guest, SIGSEGV 128 + 11 here' has_status crash 139
check hang 'a time limit gives 124' has_status hang 124
check missing 'a missing program gives 125' has_status missing 125
[ "$failures" = 0 ] || echo "$failures checks failed"
[ "$failures" = 0 ]
