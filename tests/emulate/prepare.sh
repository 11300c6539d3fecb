#!/usr/bin/env bash
# Makes a Debian or Ubuntu machine (x86-64) ready for avx512-run: packages, the
# guest's kernel, the helper tools. What is there already is left as it is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=locations.sh
source "$here/locations.sh"

say() { echo "tests/emulate: $*"; }
fail() {
    say "$*" >&2
    exit 1
}

# the unpackers for whatever the kernel is packed with
packages=(bochs bochs-term gcc binutils libc6-dev lz4 zstd xz-utils)

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo "$@"
    else
        fail "needs root for: $*"
    fi
}

# Lists that are missing or older than the archive show as a package without a
# candidate or as a failed download; only then apt-get update is run.
with_fresh_lists() {
    if ! "$@"; then
        say "apt-get update, as the package lists seem to be out of date" >&2
        as_root apt-get -qq update
        "$@" || fail "failed: $*"
    fi
}

install_packages() {
    local package missing=()
    for package in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    with_fresh_lists as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null
}

# into $1; the metapackage depends on the package of the current version
download_kernel() {
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
        awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
    [ -n "$package" ] || return 1
    say "downloading the guest's kernel, $package (about 30 MB)"
    # the sandbox user could not write here
    (cd "$1" && apt-get -qq -o APT::Sandbox::User=root download "$package")
}

number_at() { od -An -j "$2" -N "$3" -t "u$3" "$1" | tr -d ' '; }

# The packed kernel of bzImage $1; offsets by Linux's x86 boot protocol. But for
# gzip, four bytes with the unpacked size follow it.
unpack_kernel() {
    local start length unpack
    start=$((($(number_at "$1" 497 1) + 1) * 512 + $(number_at "$1" 584 4)))
    length=$(number_at "$1" 588 4)
    case $(od -An -j $start -N 4 -t x1 "$1" | tr -d ' ') in
    02214c18) unpack=lz4 ;;
    28b52ffd) unpack=zstd ;;
    fd377a58) unpack=xz ;;
    1f8b*) unpack=gzip length=$((length + 4)) ;;
    *) fail "the kernel is packed in an unknown way" ;;
    esac
    head -c $((start + length - 4)) "$1" | tail -c +$((start + 1)) | "$unpack" -dc
}

get_kernel() {
    [ ! -f "$kernel/vmlinux" ] || return 0
    mkdir "$work/package" "$work/kernel"
    with_fresh_lists download_kernel "$work/package"
    dpkg-deb --fsys-tarfile "$work"/package/*.deb | tar -x -C "$work/package" ./boot
    cp "$work"/package/boot/vmlinuz-* "$work/kernel/bzimage"
    unpack_kernel "$work/kernel/bzimage" >"$work/kernel/vmlinux"
    publish "$work/kernel" "$kernel"
}

build_tools() {
    [ ! -d "$tools" ] || return 0
    say "building the helper tools"
    mkdir "$work/tools"
    local name flags=(-std=c11 -O2 -Wall -Wextra)
    for name in make_disk make_initramfs run_emulator; do
        gcc "${flags[@]}" -o "$work/tools/$name" "$here/$name.c"
    done
    gcc "${flags[@]}" -static -o "$work/tools/guest_init" "$here/guest_init.c"
    gcc -m32 -c -o "$work/rom.o" "$here/boot_rom.S"
    ld -m elf_i386 -Ttext=0 -e 0 --oformat binary -o "$work/tools/rom.bin" "$work/rom.o"
    # Bochs insists on a video ROM
    head -c 2048 /dev/zero >"$work/tools/video_rom.bin"
    publish "$work/tools" "$tools"
}

# Whole or not at all, also when two of these run at once
publish() { mv -T "$1" "$2" 2>/dev/null || [ -d "$2" ] || fail "cannot make $2"; }

[ "$(uname -sm)" = "Linux x86_64" ] || fail "this needs Linux on x86-64"
command -v apt-get >/dev/null || fail "this needs Debian or Ubuntu (no apt-get here)"
install_packages
mkdir -p "$store"
work=$(mktemp -d "$store/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
get_kernel
build_tools

if [ ! -e "$tools/tried" ]; then
    say "booting the guest once"
    SECONDS=0
    "$here/avx512-run" -t 120 /bin/true || fail "the guest does not work"
    touch "$tools/tried"
    say "works; a boot takes about $SECONDS s here"
fi
say "ready in $store"
