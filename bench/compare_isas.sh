#!/usr/bin/env bash
# The instruction sets of this CPU as whole processes, by hyperfine: start, read two files, compute
# the loss of the enlarged sample of examples/digits so many times.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=../tools/setup.sh
source tools/setup.sh

usage() {
    cat <<'END'
usage: bench/compare_isas.sh [OPTION...]

  --build DIR    a release build (build)
  --copies N     how often the sample's 8990 logits are repeated (500)
  --repeat N     how often each process computes the loss (10)
  --runs N       processes per instruction set (10)
  --isa A,B,...  rows of 'focal info' (all that are usable here but scalarfma)
  --json FILE    also write hyperfine's report there
END
}

build=build copies=500 repeat=10 runs=10 isas='' json=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --build | --copies | --repeat | --runs | --isa | --json)
        [ $# -ge 2 ] || die "$1 needs a value; see --help"
        ;;&
    --build) build=$2 ;;
    --copies) copies=$2 ;;
    --repeat) repeat=$2 ;;
    --runs) runs=$2 ;;
    --isa) isas=$2 ;;
    --json) json=$2 ;;
    *) usage >&2 && die "unknown argument $1" ;;
    esac
    shift 2
done
[ -x "$build/cli/focal" ] || die "$build/cli/focal is missing: build it first"
command -v hyperfine >/dev/null || die "hyperfine is missing: bench/setup.sh hyperfine"

# scalarfma is there to check the others, and for CPUs older than any that is compared.
usable_rows() {
    "$build/cli/focal" info --json | python3 -c '
import json, sys
rows = json.load(sys.stdin)["isa_rows"]
print(",".join(row["name"] for row in rows if row["usable"] and row["name"] != "scalarfma"))'
}
IFS=, read -r -a rows <<<"${isas:-$(usable_rows)}"

sample=$build/digits_$copies
python3 examples/digits/repeat_sample.py --copies "$copies" "$sample" >/dev/null
setting=(--logits "$sample/sigmoid_logits.npy" --targets "$sample/targets.npy"
    --activation sigmoid --gamma 2 --alpha 0.25 --threads 1 --repeat "$repeat")
commands=()
for row in "${rows[@]}"; do
    command=$(printf '%q ' "$build/cli/focal" eval "${setting[@]}" --isa "$row")
    commands+=(-n "$row" "$command")
done

table=$(mktemp)
trap 'rm -f "$table"' EXIT
# Without a shell between, whose start would be measured too; versions before 1.13 need one.
shell=()
[[ "$(hyperfine --help)" != *--shell=none* ]] || shell=(--shell=none)
hyperfine "${shell[@]}" --style none --warmup 1 --runs "$runs" --export-markdown "$table" \
    ${json:+--export-json "$json"} "${commands[@]}" >/dev/null
cat "$table"
