#!/usr/bin/env bash
# What docs show of the Python package, measured anew: beside its peers, a call's overhead, RetinaNet
# trained. One command, about eight minutes on two cores. Nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=../tools/setup.sh
source tools/setup.sh

usage() {
    cat <<'END'
usage: bench/record_peers.sh [OPTION...]

Builds the wheel, measures with it, and writes reports to bench/results/NAME/, the tables of
docs/performance.md and docs/python.md between their markers, and docs/pictures/peers.svg.

Wants a Python environment with bench/peers-requirements.txt (4 GB): by default that of ./test.sh,
into which it installs what is missing. torch.compile wants a C++ compiler.

  --name NAME        of this machine (its CPU and best row)
  --only PART,...    some of: peers overhead retinanet pages
  --wrapper COMMAND  put before each process that measures
  --smoke            everything once and small, for tests: no figure means anything
  --python FILE      of the environment (~/.cache/libfocal/python-venv/bin/python)
  --site DIR         where the package is installed; no wheel is built
  --results DIR      where reports go (bench/results/NAME)
  --performance FILE (docs/performance.md)
  --page FILE        (docs/python.md)
  --pictures DIR     (docs/pictures)
END
}

parts=(peers overhead retinanet pages)
python=${FOCAL_PYTHON_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/libfocal/python-venv}/bin/python
name='' only='' wrapper='' smoke='' site='' results='' performance=docs/performance.md
page=docs/python.md pictures=docs/pictures
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --smoke) smoke=1 ;;
    --name | --only | --wrapper | --python | --site | --results | --performance | --page | --pictures)
        [ $# -ge 2 ] || die "$1 needs a value; see --help"
        declare "${1#--}=$2"
        shift
        ;;
    *) usage >&2 && die "unknown argument $1" ;;
    esac
    shift
done
IFS=, read -r -a wanted <<<"${only:-$(IFS=, && echo "${parts[*]}")}"
for part in "${wanted[@]}"; do
    [[ " ${parts[*]} " == *" $part "* ]] || die "there is no part '$part'; see --help"
done
[ -x "$python" ] || die "$python is missing: ./test.sh --only bindings makes it, or use --python"

if [ -z "$site" ]; then
    site=$PWD/build-peers/site
    say "building the wheel"
    rm -rf build-peers
    "$python" -m pip install --quiet --disable-pip-version-check -r bench/peers-requirements.txt
    PATH=$(dirname "$python"):$PATH "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
        --no-build-isolation --wheel-dir build-peers .
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$site" build-peers/*.whl
fi
export PYTHONPATH=$site

# "amd-epyc-avx512": nothing of the machine's own name.
machine_name() {
    "$python" -c '
import focal, re
info = focal.info()
row = next(row["name"] for row in info["isa"] if row["usable"])
print(re.sub(r"[^a-z0-9]+", "-", (info["cpu"] + " " + row).lower()).strip("-"))'
}
: "${name:=$(machine_name)}"
: "${results:=bench/results/$name}"
mkdir -p "$results"

record_peers() {
    local setting=()
    [ -z "$smoke" ] || setting=(--seconds 0 --rounds 3 --only "tiny,accuracy" --threads 1 --no-compile)
    "$python" bench/peers.py --wrapper "$wrapper" "${setting[@]}" --json "$results/peers.json" \
        >"$results/peers.log"
}

record_overhead() {
    local setting=()
    [ -z "$smoke" ] || setting=(--rounds 3 --imports 4)
    # shellcheck disable=SC2086
    $wrapper "$python" bench/overhead.py "${setting[@]}" --json "$results/overhead.json" \
        >"$results/overhead.log"
}

record_retinanet() {
    local setting=()
    [ -z "$smoke" ] || setting=(--steps 3 --size 64 --images 1)
    "$python" bench/retinanet.py --wrapper "$wrapper" "${setting[@]}" --json "$results/retinanet.json" \
        >"$results/retinanet.log"
}

record_pages() {
    "$python" bench/peers_report.py "$results" "$performance" "$page" "$pictures"
}

for part in "${parts[@]}"; do
    [[ " ${wanted[*]} " == *" $part "* ]] || continue
    started=$SECONDS
    "record_$part"
    say "$part: $((SECONDS - started)) s"
done
