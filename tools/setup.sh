# shellcheck shell=bash
# Installing what is missing; sourced by quickstart.sh and test.sh, never run.

# Without a terminal nobody can answer questions, neither apt's nor sudo's.
export DEBIAN_FRONTEND=noninteractive

# Below 1.0.0 Meson cannot read the project. Older distributions ship such ones; this version
# comes from PyPI then.
meson_minimum=1.0.0
meson_pinned=1.7.0

say() { printf '== %s\n' "$*"; }
complain() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    complain "$*"
    exit 1
}

has_apt() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

# need_root COMMAND...: stops with a message if as_root could not run that command.
need_root() {
    [ "$(id -u)" != 0 ] || return 0
    command -v sudo >/dev/null || die "this needs root, and there is no sudo; run as root: $*"
    [ -t 0 ] || sudo -n true 2>/dev/null ||
        die "this needs root, and sudo wants a password; run as root: $*"
}

as_root() {
    need_root "$@"
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# A name without architecture means this machine's, also where another one's is installed.
package_installed() {
    local name=${1%:*} architecture
    [[ $1 == *:* ]] && architecture=${1#*:} || architecture=$(dpkg --print-architecture)
    dpkg-query -W -f '${Architecture} ${db:Status-Status}\n' "$name" 2>/dev/null |
        grep -qxE "($architecture|all) installed"
}

# Installs those of the named packages that are missing. Lists that are absent or older than the
# archive show as a failed download; only then are they fetched.
install_packages() {
    local package missing=()
    for package in "$@"; do
        package_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    need_root apt-get install "${missing[@]}"
    say "installing ${missing[*]}"
    if ! install_now "${missing[@]}" 2>/dev/null; then
        say "fetching the lists of packages first"
        as_root apt-get -qq update
        install_now "${missing[@]}"
    fi
}

install_now() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y --no-install-recommends install "$@" >/dev/null
}

# What builds the library for AArch64 by tests/cross/aarch64.ini, and runs it.
# shellcheck disable=SC2034 # for scripts that source this
aarch64_base_packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
    libc6:arm64 libsleef-dev:arm64)

# Before packages of arm64 can be installed.
add_aarch64_architecture() {
    ! dpkg --print-foreign-architectures | grep -qx arm64 || return 0
    say "adding arm64 to dpkg's architectures, for SLEEF's and the C library's packages"
    as_root dpkg --add-architecture arm64
    as_root apt-get -qq update
}

# version_at_least HAVE WANT
version_at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

meson_is_new_enough() {
    command -v meson >/dev/null && version_at_least "$(meson --version)" "$meson_minimum"
}

# A private Meson in .venv if the distribution's is too old.
ensure_meson() {
    ! meson_is_new_enough || return 0
    say "Meson is older than $meson_minimum here; installing $meson_pinned into .venv"
    ! has_apt || install_packages python3-venv
    ensure_venv
    .venv/bin/pip install --quiet "meson==$meson_pinned"
}

# The folder .venv, first in PATH from now on.
ensure_venv() {
    .venv/bin/python -c '' 2>/dev/null || python3 -m venv --clear .venv
    PATH=$PWD/.venv/bin:$PATH
}
