#!/usr/bin/env bash
# From a fresh checkout to numbers: installs what is missing, builds, evaluates the sample,
# compares the instruction sets of this CPU, tunes a few workloads.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=tools/setup.sh
source tools/setup.sh

usage() {
    cat <<'END'
usage: ./quickstart.sh [--no-install]

Installs what is missing (Debian and Ubuntu, as root or by sudo), builds a release of libfocal
into build/, evaluates the focal loss of the sample in examples/digits, compares the instruction
sets of this CPU, and tunes some workloads for this host. Takes a minute or two.

  --no-install   install nothing: say what is missing, and stop if something is
END
}

install=1
for argument in "$@"; do
    case $argument in
    --no-install) install= ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die "unknown argument $argument" ;;
    esac
done

# Debian's package | what it is, elsewhere | a command that succeeds if it is there
needs=(
    "gcc|a C11 compiler (gcc or clang)|command -v cc"
    "libc6-dev|the C library's headers|cc -include stdio.h -E -x c /dev/null"
    "libsleef-dev|SLEEF 3.4 or later, with headers|cc -include sleef.h -E -x c /dev/null"
    "pkg-config|pkg-config|command -v pkg-config"
    "python3|Python 3.9 or later|python3 -c ''"
    "meson|Meson 1.0 or later|command -v meson"
    "ninja-build|Ninja|command -v ninja"
    "hyperfine|hyperfine|command -v hyperfine"
    # Where Debian's linker looks for libraries, for meson install
    "dpkg-dev|dpkg-architecture|! command -v dpkg || command -v dpkg-architecture"
)

# Fills `packages` and `things` with what is missing.
look_for_needs() {
    local need package thing check
    packages=() things=()
    for need in "${needs[@]}"; do
        IFS='|' read -r package thing check <<<"$need"
        if ! (eval "$check") >/dev/null 2>&1; then
            packages+=("$package")
            things+=("$thing")
        fi
    done
}

show_command() { printf '\n$ %s\n' "$*"; }

run_shown() {
    show_command "$@"
    "$@"
}

# The rows of `focal info` that this machine can run, from the fastest to the most portable.
usable_rows() {
    build/cli/focal info --json | python3 -c '
import json, sys
print(*[row["name"] for row in json.load(sys.stdin)["isa_rows"] if row["usable"]])'
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

say "1/6 looking for a compiler, Meson, Ninja, SLEEF and hyperfine"
look_for_needs
if [ ${#packages[@]} -gt 0 ] && [ -n "$install" ] && has_apt; then
    install_packages "${packages[@]}"
    look_for_needs
fi
if [ ${#packages[@]} -gt 0 ]; then
    complain "missing here:"
    printf '  - %s\n' "${things[@]}" >&2
    die "install them and run this again (Debian and Ubuntu call them: ${packages[*]})"
fi
[ -z "$install" ] || ensure_meson
meson_is_new_enough || die "Meson $(meson --version) is too old: $meson_minimum or later is needed"
say "everything is there"

say "2/6 building a release into build/"
build_release() {
    [ -f build/build.ninja ] || meson setup build --buildtype=release -Dtests=false || return
    meson compile -C build
}
build_release >"$log" 2>&1 || { cat "$log" >&2 && die "the build failed, see above"; }
grep '^\[' "$log" | tail -n 1 || echo 'nothing to do: build/ is up to date'

say "3/6 what libfocal sees of this machine"
run_shown build/cli/focal info

say "4/6 the focal loss of the sample (899 rows of 10 logits; examples/digits/README.md)"
run_shown build/cli/focal eval --logits examples/digits/sigmoid_logits.npy \
    --targets examples/digits/targets.npy --activation sigmoid --gamma 2 --alpha 0.25
run_shown build/cli/focal eval --logits examples/digits/softmax_logits.npy \
    --targets examples/digits/labels.npy --activation softmax --gamma 2
echo
echo "The exact sums, computed in 100 digits: 171.0218414363952 and 64.09645560621644."

say "5/6 the instruction sets of this CPU, on the sample repeated 500 times (4.5 million logits)"
read -r -a rows <<<"$(usable_rows)"
printf '\nWhole processes, one thread: start, read two files, compute the loss 10 times.\n'
run_shown bench/compare_isas.sh --copies 500 --repeat 10 --runs 3
setting=(--activation sigmoid --gamma 2 --alpha 0.25 --threads 1)

# Small enough for the caches, so that memory does not hide the arithmetic
python3 examples/digits/repeat_sample.py --copies 10 build/digits_10 >/dev/null
files=(--logits build/digits_10/sigmoid_logits.npy --targets build/digits_10/targets.npy
    --grad build/digits_10/gradient.npy)
printf '\nIn the process, one thread: loss and gradient of the sample 10 times, fastest of 100.\n'
show_command "build/cli/focal eval ... --grad build/digits_10/gradient.npy --repeat 100 --tier TIER --isa ROW"
tiers=(fast accurate sleef)
printf '              ns per element in the tier\n'
printf '  %-10s' row && printf ' %9s' "${tiers[@]}" && printf '   sum of the losses (%s)\n' "${tiers[0]}"
for row in "${rows[@]}"; do
    printf '  %-10s' "$row"
    sum=''
    for tier in "${tiers[@]}"; do
        result=$(build/cli/focal eval "${files[@]}" "${setting[@]}" --repeat 100 --tier "$tier" --isa "$row")
        printf ' %9s' "$(awk '$1 == "time" { print $2 }' <<<"$result")"
        : "${sum:=$(awk '$1 == "sum" { print $2 }' <<<"$result")}"
    done
    printf '   %s\n' "$sum"
done

cat <<'END'

Every row but "scalar" has fused multiply-add and gives the same bits; "scalar" is the portable
one for other processors. docs/numerics.md says what is promised.
END

say "6/6 which kernels and tasks are best on this host (some workloads, on one thread and on all CPUs)"
threads=1
! build/cli/focal info | grep -q '^OpenMP  *yes' || threads=1,0
run_shown build/cli/focal tune run --case retinanet,softmax1000,gbdt,llm --threads "$threads" --budget 10s \
    --out build/tuning.txt --all
cat <<'END'

Where the winner is "the same", the default was right. A tuning file changes speed and never a bit.
"focal tune run" without --case and --out measures all usual shapes in half a minute, and keeps the
result where every program with libfocal finds it.

Read next:
  README.md          a complete C program, and what is here
  docs/tutorial.md   from one loss to a training step
  docs/cli.md        the focal command
  docs/tuning.md     what tuning does, its file
  ./test.sh          runs every test, on every instruction set
END
