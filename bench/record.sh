#!/usr/bin/env bash
# Everything that docs/performance.md shows, measured anew: reports, tables, pictures. Takes about
# four minutes on two cores. Nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=../tools/setup.sh
source tools/setup.sh

usage() {
    cat <<'END'
usage: bench/record.sh [OPTION...]

Measures with the release build in build/ and writes reports to bench/results/NAME/, the tables of
docs/performance.md between their markers, and docs/pictures/*.svg. bench/setup.sh installs what it
needs.

  --name NAME        of this machine (its CPU and best row)
  --only PART,...    some of: model goals small large doubles tiers sweep processes pages
  --clock cpu        for machines that others use: CPU time, without the goals of several threads
  --smoke            everything once and small, for tests: no figure means anything
  --build DIR        a release build (build)
  --results DIR      where reports go (bench/results/NAME)
  --page FILE        whose tables are written (docs/performance.md)
  --pictures DIR     (docs/pictures)
END
}

parts=(model goals small large doubles tiers sweep processes pages)
build=build name='' only='' smoke='' clock=wall results='' page=docs/performance.md
pictures=docs/pictures
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --smoke) smoke=1 ;;
    --name | --only | --clock | --build | --results | --page | --pictures)
        [ $# -ge 2 ] || die "$1 needs a value; see --help"
        declare "${1#--}=$2"
        shift
        ;;
    *) usage >&2 && die "unknown argument $1" ;;
    esac
    shift
done
focal=$build/cli/focal
[ -x "$focal" ] || die "$focal is missing: build a release first"
[ -d .venv ] && ensure_venv

# "amd-epyc-avx512": nothing of the machine's own name.
machine_name() {
    "$focal" info --json | python3 -c '
import json, re, sys
info = json.load(sys.stdin)
row = next(row["name"] for row in info["isa_rows"] if row["usable"])
name = info["cpu"] + " " + row
print(re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"))'
}
: "${name:=$(machine_name)}"
: "${results:=bench/results/$name}"
mkdir -p "$results"
IFS=, read -r -a wanted <<<"${only:-$(IFS=, && echo "${parts[*]}")}"
for part in "${wanted[@]}"; do
    [[ " ${parts[*]} " == *" $part "* ]] || die "there is no part '$part'; see --help"
done

usable_rows() {
    "$focal" info --json | python3 -c '
import json, sys
rows = [row["name"] for row in json.load(sys.stdin)["isa_rows"] if row["usable"]]
print(",".join([row for row in rows if not row.startswith("scalar")] or ["scalar"]))'
}
rows=$(usable_rows)

# bench PART ARGUMENTS...: one report, with the tables in a log beside it.
bench() {
    local part=$1
    shift
    "$focal" bench --quiet --clock "$clock" ${smoke:+--smoke} --json "$results/$part.json" "$@" \
        >"$results/$part.log"
}

# What is too large for a round of every opponent.
large=retinanet,n80,dram,llm,wide
small=detr300,detr900,boosting,tiny,l1,block,l1_binary,rows_dense,rows_label
small+=,softmax80,softmax1000,softmax32000
has_case() { "$focal" bench --list | grep -q "^  $1 "; }
! has_case segmentation || large+=,segmentation
sizes=256,512,1024,1536,2048,3072,4096,6144,8192,16384,32768,65536,98304,131072,262144,524288
sizes+=,1048576,2097152,4194304,8388608,16777216

record_model() {
    bench/model_throughput.py --build "$build" ${smoke:+--quick} --json "$results/model.json" \
        >"$results/model.log"
}

record_goals() {
    local bounds
    bounds=$(bench/model_throughput.py --build "$build" --bounds)
    bench goals --goals ${bounds:+--bound "$bounds"} --budget 3
}

record_small() { bench small --case "$small" --isa "$rows,scalar" --budget 2; }
record_large() { bench large --case "$large" --isa "$rows" --against sleef,roofline --budget 4; }

# f64, and the only direction that gradient boosting wants.
record_doubles() {
    if has_case l1_f64; then
        bench doubles --case l1_f64,gbdt --direction loss,both,hessian --isa "$rows" \
            --against sleef,roofline --budget 2
    fi
}

record_tiers() {
    bench tiers --case l1,softmax80,softmax1000 --isa "$rows" --tier fast,accurate,sleef \
        --gamma 2,2.7 --budget 2
}

record_sweep() {
    bench sweep --case l1 --size "$sizes" --isa "$rows" --against roofline --budget 1
}

record_processes() {
    local setting=(--runs 10)
    [ -z "$smoke" ] || setting=(--runs 2 --copies 5 --repeat 1)
    bench/compare_isas.sh --build "$build" "${setting[@]}" --json "$results/processes.json" \
        >"$results/processes.log"
}

record_pages() {
    bench/report.py "$results" "$page"
    bench/plot.py "$results" "$pictures"
}

for part in "${parts[@]}"; do
    [[ " ${wanted[*]} " == *" $part "* ]] || continue
    started=$SECONDS
    "record_$part"
    say "$part: $((SECONDS - started)) s"
done
