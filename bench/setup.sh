#!/usr/bin/env bash
# Installs what the scripts of bench/ need beside the build: hyperfine, llvm-mca, matplotlib, and a
# build for AArch64, which the models of Arm cores need.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=../tools/setup.sh
source tools/setup.sh

usage() {
    cat <<'END'
usage: bench/setup.sh [--no-install] [PART...]

  hyperfine   for bench/compare_isas.sh
  model       llvm-mca, for bench/model_throughput.py
  aarch64     qemu and what is traced under it, a build for AArch64 in build-aarch64/, for the
              same
  plot        matplotlib in .venv/, for bench/plot.py

Without a PART all of them. Debian and Ubuntu, as root or by sudo; elsewhere install them by
other means. --no-install installs nothing and stops if something is missing.
END
}

# The newest models of cores that Debian 12 has; other releases take the newest they have.
llvm_wanted=19

newest_llvm() {
    apt-cache pkgnames llvm- 2>/dev/null | sed -n 's/^llvm-\([0-9][0-9]*\)$/\1/p' | sort -n | tail -n 1
}

set_up_hyperfine() {
    command -v hyperfine >/dev/null || missing hyperfine hyperfine
}

set_up_model() {
    local version=$llvm_wanted
    ! bench/model_throughput.py --find-tools >/dev/null 2>&1 || return 0
    if has_apt && [ -z "$(apt-cache policy "llvm-$version")" ]; then
        version=$(newest_llvm)
    fi
    missing "llvm-mca" "llvm-$version"
}

set_up_aarch64() {
    local log status=0
    if [ -n "$install" ] && has_apt; then
        add_aarch64_architecture
        install_packages "${aarch64_base_packages[@]}"
    fi
    command -v aarch64-linux-gnu-gcc >/dev/null || die "aarch64-linux-gnu-gcc is missing"
    log=$(mktemp)
    {
        { [ -f build-aarch64/build.ninja ] ||
            meson setup build-aarch64 --buildtype=release --cross-file tests/cross/aarch64.ini \
                -Dtests=false -Dopenmp=disabled; } && ninja -C build-aarch64 bench/bench_trace
    } >"$log" 2>&1 || status=$?
    [ $status = 0 ] || cat "$log" >&2
    rm -f "$log"
    [ $status = 0 ] || die "the build for AArch64 failed, see above"
}

set_up_plot() {
    [ -z "$install" ] || [ -x .venv/bin/python ] || ! has_apt || install_packages python3-venv
    ensure_venv
    python -c 'import matplotlib' 2>/dev/null || {
        [ -n "$install" ] || die "matplotlib is missing in .venv"
        say "installing bench/requirements.txt into .venv"
        python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
    }
}

# missing THING PACKAGE: installs it, or says that it is missing.
missing() {
    if [ -z "$install" ] || ! has_apt; then
        die "$1 is missing here (Debian and Ubuntu: $2)"
    fi
    install_packages "$2"
}

install=1 parts=()
for argument in "$@"; do
    case $argument in
    --no-install) install= ;;
    hyperfine | model | aarch64 | plot) parts+=("$argument") ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die "unknown argument $argument" ;;
    esac
done
[ ${#parts[@]} -gt 0 ] || parts=(hyperfine model aarch64 plot)
for part in "${parts[@]}"; do
    "set_up_$part"
done
