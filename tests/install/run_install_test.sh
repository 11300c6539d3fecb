#!/bin/sh
# Installs a build into a temporary folder and uses it as a stranger would: the programs of this
# folder by pkg-config and by CMake, with the shared and with the static library.
#
# usage: run_install_test.sh BUILD_DIR
# Environment: CC, CXX, PKG_CONFIG, MESON, CMAKE (none: leave the CMake package untested)
# shellcheck disable=SC2317 # functions that only `check` calls
set -u
if [ $# -ne 1 ] || [ ! -f "$1/build.ninja" ]; then
    echo "usage: run_install_test.sh BUILD_DIR (a configured meson build)" >&2
    exit 2
fi
build=$(cd "$1" && pwd)
sources=$(cd "$(dirname "$0")" && pwd)
CC=${CC:-cc}
CXX=${CXX:-c++}
PKG_CONFIG=${PKG_CONFIG:-pkg-config}
CMAKE=${CMAKE:-cmake}
MESON=${MESON:-meson}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
passed=0
failed=0

# The losses by mpmath with 40 digits: 0.70369691561178503 and 2.5404668890799907.
sigmoid_loss=0.703697
softmax_loss=2.540467

check() { # check WHAT COMMAND...: the command's success is the check
    what=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
        return 0
    fi
    failed=$((failed + 1))
    echo "FAILED: $what"
    sed 's/^/    /' "$work/log"
    return 1
}

prints() { # prints PROGRAM EXPECTED
    printed=$("$1") || return 1
    [ "$printed" = "$2" ] || { echo "prints $printed instead of $2"; return 1; }
}

needs_library() { # whether a program loads libfocal when it starts
    ldd "$1" | grep -q 'libfocal\.so\.0'
}

needs_no_library() {
    ! needs_library "$1"
}

finds_its_library() { # finds_its_library PROGRAM: the one installed with it
    ldd "$1" | grep -q "libfocal\.so\.0 => $work/root/"
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

check "meson install" "$MESON" install -C "$build" --no-rebuild --destdir "$work/root"
[ "$failed" -eq 0 ] || finish
header=$(find "$work/root" -name focal.h)
pc=$(find "$work/root" -name focal.pc)
check "one focal.h installed" test -f "$header"
check "focal_openmp.h beside it" test -f "$(dirname "$header")/focal_openmp.h"
check "one focal.pc installed" test -f "$pc"
[ "$failed" -eq 0 ] || finish
prefix=$(dirname "$(dirname "$header")")
shared=$(find "$work/root" -name 'libfocal.so' -o -name 'libfocal.dylib')
static=$(find "$work/root" -name libfocal.a)
PKG_CONFIG_PATH=$(dirname "$pc")${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH

# The prefix is where DESTDIR put it; sleef's own .pc must not move with it, so only focal's
# words are asked for with the changed prefix.
focal_flags() {
    "$PKG_CONFIG" --define-variable=prefix="$prefix" "$@" focal
}
version=$(focal_flags --modversion)
check "pkg-config knows the version ($version)" \
    grep -q "define FOCAL_VERSION_MINOR $(echo "$version" | cut -d. -f2)\$" "$header"

command=$(find "$work/root" -path '*/bin/focal')
if [ -n "$command" ]; then
    check "the command starts" "$command" --version
    [ -z "$shared" ] || check "the command finds its library" finds_its_library "$command"
fi

if [ -n "$shared" ]; then
    LD_LIBRARY_PATH=$(dirname "$shared")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
    # shellcheck disable=SC2046 # flags are words
    check "C, shared" "$CC" -std=c11 -Wall -Wextra -Wpedantic -Werror "$sources/sigmoid.c" \
        -o "$work/sigmoid" $(focal_flags --cflags --libs)
    # shellcheck disable=SC2046
    check "C++, shared" "$CXX" -std=c++11 -Wall -Wextra -Wpedantic -Werror "$sources/softmax.cc" \
        -o "$work/softmax" $(focal_flags --cflags --libs)
    check "C, shared, prints the loss" prints "$work/sigmoid" "$sigmoid_loss"
    check "C++, shared, prints the loss" prints "$work/softmax" "$softmax_loss"
    check "C, shared, loads the library" needs_library "$work/sigmoid"
fi

if [ -n "$static" ]; then
    # -lfocal finds the archive where no shared library lies beside it.
    mkdir "$work/archive" && cp "$static" "$work/archive"
    # shellcheck disable=SC2046
    check "C, static" "$CC" -std=c11 -Wall -Wextra -Wpedantic -Werror "$sources/sigmoid.c" \
        -o "$work/sigmoid_static" -L"$work/archive" \
        $(focal_flags --define-variable=libdir="$work/archive" --static --cflags --libs)
    # shellcheck disable=SC2046
    check "C++, static" "$CXX" -std=c++11 -Wall -Wextra -Wpedantic -Werror "$sources/softmax.cc" \
        -o "$work/softmax_static" -L"$work/archive" \
        $(focal_flags --define-variable=libdir="$work/archive" --static --cflags --libs)
    check "C, static, prints the loss" prints "$work/sigmoid_static" "$sigmoid_loss"
    check "C++, static, prints the loss" prints "$work/softmax_static" "$softmax_loss"
    check "C, static, loads no library" needs_no_library "$work/sigmoid_static"
fi
check "a library was installed" test -n "$shared$static"

if [ "$CMAKE" = none ]; then
    echo "CMAKE=none: the CMake package is not tested"
elif check "cmake is there (or say CMAKE=none)" command -v "$CMAKE"; then
    need=OFF
    [ -n "$shared" ] && [ -n "$static" ] && need=ON
    check "cmake finds the package" env CC="$CC" CXX="$CXX" "$CMAKE" -S "$sources" \
        -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DNEED_STATIC=$need
    check "cmake builds" "$CMAKE" --build "$work/cmake"
    check "cmake, focal::focal, C" prints "$work/cmake/sigmoid_focal" "$sigmoid_loss"
    check "cmake, focal::focal, C++" prints "$work/cmake/softmax_focal" "$softmax_loss"
    if [ $need = ON ]; then
        check "cmake, focal::focal_static, C" prints "$work/cmake/sigmoid_focal_static" \
            "$sigmoid_loss"
        check "cmake, focal::focal_static, C++" prints "$work/cmake/softmax_focal_static" \
            "$softmax_loss"
        check "cmake, focal::focal loads the library" needs_library "$work/cmake/sigmoid_focal"
        check "cmake, focal::focal_static loads none" needs_no_library \
            "$work/cmake/sigmoid_focal_static"
    fi
fi
finish
