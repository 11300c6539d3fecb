# shellcheck shell=bash
# Where prepare.sh puts things and avx512-run looks for them; both source this
# with $here set to this folder.
# shellcheck disable=SC2034,SC2154

store=${FOCAL_EMULATE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/libfocal-emulate}
kernel=$store/kernel

# named by the sources' checksum: never stale, and checkouts can share the store
tool_sources=(boot_layout.h boot_rom.S guest_init.c guest_protocol.h make_disk.c
              make_initramfs.c prepare.sh run_emulator.c)
tools=$store/tools-$(cd "$here" && cat "${tool_sources[@]}" | cksum | cut -d ' ' -f 1)
