#!/usr/bin/env bash
# Every test there is, on every instruction set: sets itself up, runs all parts, and ends in one
# line "N passed, N failed". docs/testing.md explains the parts.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=tools/setup.sh
source tools/setup.sh

usage() {
    cat <<'END'
usage: ./test.sh [--quick | --all] [--emulate] [--only PART[,PART]...] [--no-install]

Installs what the tests need (Debian and Ubuntu on x86-64, as root or by sudo), runs every part,
and prints the counts of checks, which ISA rows ran where, and the failures with their logs. The
last line is "N passed, N failed"; the exit code is 0 only if nothing failed and every part ran.

Parts:
  gcc         release build by gcc, all test programs
  python      the oracle, the command, the scripts of bench/ and the documentation, tested from Python
  bindings    the Python package: wheel, NumPy, PyTorch, properties by Hypothesis
  lint        clang-format, ruff, shellcheck, clang-tidy
  clang       release build by clang, all test programs
  sanitize    build with AddressSanitizer and UBSan, all test programs, the command
  aarch64     cross build for AArch64, all test programs under qemu's user mode
  avx512      the tests of ISA rows under Bochs; only where this CPU has no AVX-512, or --emulate
  exhaustive  every float there is; only with --all

  --quick       gcc, python and lint only
  --all         everything, with the exhaustive part
  --emulate     run the part avx512 even if this CPU has AVX-512
  --only        these parts only
  --no-install  install nothing

Everything is written to build-test/, the Python environment to .venv/. PyTorch, for the part
bindings, is fetched once (3 GB, 6 GB unpacked) into ~/.cache/libfocal/python-venv, or where
XDG_CACHE_HOME or FOCAL_PYTHON_VENV say, and used from there by later runs.
END
}

known_parts=(gcc python bindings lint clang sanitize aarch64 avx512 exhaustive)
default_parts=(gcc python bindings lint clang sanitize aarch64)
parts=() install=1 emulate='' partial=''
while [ $# -gt 0 ]; do
    case $1 in
    --quick) parts=(gcc python lint) partial=1 ;;
    --all) parts=("${default_parts[@]}" exhaustive) ;;
    --emulate) emulate=1 ;;
    --only)
        [ $# -ge 2 ] || die "--only needs the names of parts; see --help"
        IFS=, read -r -a parts <<<"$2"
        partial=1
        shift
        ;;
    --no-install) install= ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die "unknown argument $1" ;;
    esac
    shift
done
[ ${#parts[@]} -gt 0 ] || parts=("${default_parts[@]}")
for part in "${parts[@]}"; do
    [[ " ${known_parts[*]} " == *" $part "* ]] || die "there is no part '$part'; see --help"
done
wants() { [[ " ${parts[*]} " == *" $1 "* ]]; }

# CMake's usual generator wants make, which nothing else here needs.
export CMAKE_GENERATOR=Ninja
work=$PWD/build-test
results=$work/results.jsonl
logs=$work/logs

# ---- Set-up ---------------------------------------------------------------------------------

packages=(gcc g++ libc6-dev binutils pkg-config meson ninja-build libsleef-dev cmake git
    python3 python3-venv)
clang_packages=(clang libomp-dev)
aarch64_packages=("${aarch64_base_packages[@]}" g++-aarch64-linux-gnu
    libgomp1:arm64 libstdc++6:arm64)

set_up_packages() {
    local wanted=("${packages[@]}")
    ! wants lint || wanted+=(shellcheck clang-tidy libomp-dev)
    ! wants bindings || wanted+=(python3-dev)
    ! wants clang || wanted+=("${clang_packages[@]}")
    if wants aarch64; then
        wanted+=("${aarch64_packages[@]}")
        add_aarch64_architecture
    fi
    install_packages "${wanted[@]}"
}

set_up_python() {
    ensure_venv
    local installed=.venv/requirements.sum sum
    sum=$(cat tests/requirements.txt tests/oracle/requirements.txt bench/requirements.txt | cksum)
    if [ "$(cat "$installed" 2>/dev/null)" != "$sum" ]; then
        say "installing tests/requirements.txt and bench/requirements.txt into .venv"
        python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt \
            -r bench/requirements.txt
        echo "$sum" >"$installed"
    fi
}

# An environment that outlives this folder, as its download is long: it is made beside the parts
# before bindings.
bindings_venv=${FOCAL_PYTHON_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/libfocal/python-venv}
bindings_sum=$(cksum <tests/python/requirements.txt)
bindings_set_up=''
start_bindings() {
    [ "$(cat "$bindings_venv/requirements.sum" 2>/dev/null)" != "$bindings_sum" ] || return 0
    say "installing tests/python/requirements.txt into $bindings_venv, beside what follows"
    say "with PyTorch and the libraries it wants: 3 GB to fetch, minutes; later runs find it there"
    mkdir -p "$logs/bindings"
    set -m # a process group of its own, which at_the_end can end
    set_up_bindings >"$logs/bindings/set-up.log" 2>&1 </dev/null &
    bindings_set_up=$!
    set +m
}

set_up_bindings() {
    { "$bindings_venv/bin/python" -c '' 2>/dev/null || python3 -m venv --clear "$bindings_venv"; } &&
        "$bindings_venv/bin/pip" install --quiet --disable-pip-version-check \
            -r tests/python/requirements.txt &&
        echo "$bindings_sum" >"$bindings_venv/requirements.sum"
}

# Only a failure is a result.
finish_bindings() {
    local status=0
    [ -n "$bindings_set_up" ] || return 0
    wait "$bindings_set_up" || status=$?
    bindings_set_up=''
    [ $status != 0 ] || return 0
    report run bindings set-up $status "$logs/bindings/set-up.log"
    tail -n 15 "$logs/bindings/set-up.log"
    return 1
}

set_up() {
    mkdir -p "$logs"
    : >"$results"
    [ "$(uname -sm)" = "Linux x86_64" ] || complain "this is not Linux on x86-64: expect failures"
    if [ -n "$install" ]; then
        has_apt || die "no apt-get here: install what docs/testing.md lists, and use --no-install"
        set_up_packages
        ensure_meson
        set_up_python
        ! wants python || bench/setup.sh hyperfine model
        ! wants aarch64 || bench/setup.sh model
        ! wants bindings || start_bindings
    elif [ -d .venv ]; then
        ensure_venv
    fi
}

# ---- What the parts are made of ---------------------------------------------------------------

report() { python3 tools/test_report.py "$results" "$@"; }

# counted PART NAME COMMAND...: runs it with its output in a log, and adds what it counted.
counted() {
    local part=$1 name=$2 status=0
    shift 2
    mkdir -p "$logs/$part"
    "$@" >"$logs/$part/$name.log" 2>&1 </dev/null || status=$?
    report run "$part" "$name" $status "$logs/$part/$name.log"
}

# each PART NAME COMMAND... -- FILE...: the command once per file; every file is a check.
each() {
    local part=$1 name=$2 passed=0 failed=0 command=() file
    shift 2
    while [ "$1" != -- ]; do
        command+=("$1")
        shift
    done
    shift
    for file in "$@"; do
        if "${command[@]}" "$file"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAILED: ${command[*]} $file"
        fi
    done
    echo "$passed passed, $failed failed"
}

# build PART MESON-ARGUMENTS...: into build-test/PART, once a run. Only a failure is a result.
built=''
build() {
    local part=$1 log=$logs/$1/build.log
    [[ " $built " != *" $part "* ]] || return 0
    shift
    mkdir -p "$logs/$part"
    say "$part: building"
    if { [ -f "$work/$part/build.ninja" ] || meson setup "$work/$part" -Dwerror=true "$@"; } \
        >"$log" 2>&1 && meson compile -C "$work/$part" >>"$log" 2>&1; then
        built+=" $part"
        return 0
    fi
    report run "$part" build 1 "$log"
    tail -n 15 "$log"
    return 1
}

# run_tests PART PLACE TIMEOUT-FACTOR ARGUMENTS...: all programs of that build known to Meson.
# Their failures are in the test log, so the status of meson test says nothing more.
run_tests() {
    local part=$1 place=$2 factor=$3 testlog=$work/$1/meson-logs/testlog.json
    shift 3
    say "$part: running the test programs"
    rm -f "$testlog"
    meson test -C "$work/$part" --no-rebuild --timeout-multiplier "$factor" "$@" \
        >"$logs/$part/meson-test.log" 2>&1 </dev/null || true
    if [ -s "$testlog" ]; then
        report meson "$part" "$place" "$testlog"
    else
        report run "$part" meson-test 1 "$logs/$part/meson-test.log"
    fi
}

# command_tests PART BUILD PYTEST-ARGUMENTS...: the tests of the focal command of that build.
command_tests() {
    local part=$1 focal=$work/$2/cli/focal
    shift 2
    FOCAL_BIN=$focal counted "$part" command python3 -m pytest -q "$@" tests/cli
}

# ---- The parts --------------------------------------------------------------------------------

build_gcc() { CC=gcc CXX=g++ build gcc --buildtype=release; }

part_gcc() {
    build_gcc || return 0
    run_tests gcc native 4 --no-suite emulated
}

part_python() {
    say "python: oracle, command, documentation"
    counted python oracle python3 -m pytest -q tests/oracle
    counted python report python3 -m pytest -q tests/tools
    build_gcc || return 0
    command_tests python gcc
    FOCAL_BUILD=$work/gcc counted python bench python3 -m pytest -q tests/bench/test_scripts.py
    counted python documentation python3 tests/check_docs.py --build "$work/gcc"
}

# The wheel is built as pip builds it for a user, installed beside the sources, and tested there.
build_wheel() {
    local folder=$work/bindings
    rm -rf "$folder"
    PATH=$bindings_venv/bin:$PATH "$bindings_venv/bin/pip" wheel --disable-pip-version-check --no-deps \
        --no-build-isolation --config-settings=setup-args=-Dwerror=true --wheel-dir "$folder" . &&
        "$bindings_venv/bin/pip" install --disable-pip-version-check --no-deps --target "$folder/site" \
            "$folder"/*.whl
}

part_bindings() {
    finish_bindings || return 0
    say "bindings: building the wheel"
    counted bindings wheel build_wheel
    say "bindings: NumPy, PyTorch, properties, examples"
    local name
    for name in numpy torch torchvision properties documentation distributed bench; do
        PYTHONPATH=$work/bindings/site counted bindings "$name" \
            "$bindings_venv/bin/python" -m pytest -q "tests/python/test_$name.py"
    done
}

# What is in the repository, or of an unpacked archive what is not built.
project_files() {
    git ls-files 2>/dev/null | grep . ||
        find . -mindepth 1 \( -name '.?*' -o -path './build*' -o -name __pycache__ \) -prune -o \
            -type f -printf '%P\n'
}

part_lint() {
    say "lint: clang-format, ruff, shellcheck, clang-tidy"
    local c_files shell_files
    mapfile -t c_files < <(project_files | grep '\.[ch]$')
    mapfile -t shell_files < <(project_files | xargs -d '\n' grep -IlE '^#!.*sh$|^# shellcheck shell')
    counted lint clang-format each lint clang-format clang-format --dry-run -Werror -- "${c_files[@]}"
    counted lint shellcheck each lint shellcheck shellcheck -x -P SCRIPTDIR -e SC2317 -- "${shell_files[@]}"
    local python_files
    mapfile -t python_files < <(project_files | grep '\.py$')
    counted lint ruff each lint ruff ruff check --quiet -- "${python_files[@]}"
    build_gcc || return 0
    # The tests break rules on purpose, and NEON's files are not among what this machine compiles.
    mapfile -t c_files < <(project_files | grep '\.c$' | grep -vE '^(tests|examples|bindings)/|_neon\.c$')
    counted lint clang-tidy tidy_all "${c_files[@]}"
}

# One check a file, on all processors; the flags of each file are those of the gcc build, without
# what clang does not know.
tidy_all() {
    local verdicts=$logs/lint/clang-tidy-verdicts
    sed -E 's/ -fno-(tree-loop-distribute-patterns|ipa-ra)//g' "$work/gcc/compile_commands.json" \
        >"$logs/lint/compile_commands.json"
    # shellcheck disable=SC2016
    printf '%s\0' "$@" | xargs -0 -P "$(nproc)" -I FILE sh -c '
        clang-tidy -p "$0" --quiet "$1" 2>&1 && echo "PASSED: $1" || echo "FAILED: $1"' \
        "$logs/lint" FILE >"$verdicts"
    cat "$verdicts"
    echo "$(grep -c '^PASSED: ' "$verdicts") passed, $(grep -c '^FAILED: ' "$verdicts") failed"
}

part_clang() {
    CC=clang CXX=clang++ build clang --buildtype=release || return 0
    run_tests clang native 4 --no-suite emulated
}

# At -O1, so that the bits are also compared at another optimisation level. Lines are all that the
# reports need of -g; variables would double the time that the kernels take to compile.
part_sanitize() {
    CC=gcc CXX=g++ build sanitize -Doptimization=1 -Ddebug=true -Db_ndebug=false \
        -Db_sanitize=address,undefined -Db_lundef=false \
        '-Dc_args=-fno-sanitize-recover=all -g1' || return 0
    # The dense suite looks for wrong digits, not for wrong memory, and takes minutes here.
    run_tests sanitize native 10 --no-suite dense --no-suite emulated
    say "sanitize: the command"
    # The address sanitizer reserves more address space than those tests allow; they run in python.
    command_tests sanitize sanitize -m 'not address_space_limit'
}

part_aarch64() {
    build aarch64 --buildtype=release --cross-file tests/cross/aarch64.ini || return 0
    run_tests aarch64 qemu 10 --no-suite dense --no-suite emulated
    FOCAL_BUILD_AARCH64=$work/aarch64 counted aarch64 bench \
        python3 -m pytest -q tests/bench/test_emulated.py
}

# Only tests of the suite "isa": the others do not depend on the row, and Bochs is slow.
part_avx512() {
    build_gcc || return 0
    say "avx512: preparing the emulator"
    counted avx512 prepare tests/emulate/prepare.sh
    counted avx512 selfcheck tests/emulate/selfcheck.sh
    say "avx512: running the test programs"
    local testlog=$work/gcc/meson-logs/testlog-avx512-run.json
    rm -f "$testlog"
    # Meson fills fresh memory with garbage for its tests; Bochs 2.7 does not survive that.
    MALLOC_PERTURB_=0 meson test -C "$work/gcc" --no-rebuild --timeout-multiplier 40 --suite emulated \
        --wrapper "$PWD/tests/emulate/avx512-run -t 3600 -f $PWD/tests/data" \
        >"$logs/avx512/meson-test.log" 2>&1 </dev/null || true
    if [ -s "$testlog" ]; then
        report meson avx512 bochs "$testlog"
    else
        report run avx512 meson-test 1 "$logs/avx512/meson-test.log"
    fi
}

# The bound of every result by `focal verify`, then the same hash from every row with FMA.
verify_everything() {
    local focal=$work/gcc/cli/focal op gamma tier row hash first rows choice passed=0 failed=0
    mapfile -t rows < <("$focal" info | awk '$2 == "yes" && $3 == "yes" && $1 != "scalar" { print $1 }')
    for choice in {sigmoid,softmax}:{fast,accurate,sleef}:{0,0.5,1,1.5,2,2.5,3,5}; do
        IFS=: read -r op tier gamma <<<"$choice"
        local arguments=(--op "$op" --tier "$tier" --gamma "$gamma" --quiet)
        echo "--- ${arguments[*]}"
        if "$focal" verify "${arguments[@]}"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
        fi
        first=''
        for row in "${rows[@]}"; do
            hash=$("$focal" verify "${arguments[@]}" --isa "$row" --hash-only)
            echo "$row: $hash"
            : "${first:=$hash}"
            if [ -n "$hash" ] && [ "$hash" = "$first" ]; then
                passed=$((passed + 1))
            else
                failed=$((failed + 1))
            fi
        done
    done
    echo "$passed passed, $failed failed"
}

part_exhaustive() {
    build_gcc || return 0
    counted exhaustive elementary "$work/gcc/tests/test_elementary" --stride 1
    say "exhaustive: all 2^32 logits, for hours; the log is $logs/exhaustive/verify.log"
    counted exhaustive verify verify_everything
}

has_avx512() {
    local flag flags
    flags=$(grep -m 1 '^flags' /proc/cpuinfo)
    for flag in avx512f avx512bw avx512dq avx512vl; do
        [[ " $flags " == *" $flag "* ]] || return 1
    done
}

# ---- The run ----------------------------------------------------------------------------------

# Whatever ends the run early, the last line says so in the usual form.
finished=''
at_the_end() {
    [ -z "$bindings_set_up" ] || kill -- "-$bindings_set_up" 2>/dev/null || true
    [ -n "$finished" ] || { complain "ended before all parts had run" && echo "0 passed, 1 failed"; }
}
trap at_the_end EXIT

set_up
if [ -n "$emulate" ] || { [ -z "$partial" ] && ! has_avx512; }; then
    wants avx512 || parts+=(avx512)
fi
for part in "${parts[@]}"; do
    started=$SECONDS
    "part_$part"
    say "$part: $((SECONDS - started)) s"
done
required_rows=$(sed -n 's/^FOCAL_ISA_ROW(\([a-z0-9]*\),.*/\1/p' kernels/isas.def | paste -sd ,)
[ -z "$partial" ] || required_rows=''
finished=1
report summary --rows "$required_rows"
