#!/usr/bin/env bash
# Prints the Debian packages the lab needs and this machine lacks, on one line; exit status 1 when there are any.
set -euo pipefail

missing=()
need() { # need PACKAGE FILE-OR-COMMAND
  [[ -e $2 ]] || command -v "$2" >/dev/null || missing+=("$1")
}

need qemu-system-x86 qemu-system-x86_64
need qemu-system-arm qemu-system-aarch64
need linux-source-6.12 /usr/src/linux-source-6.12.tar.xz
need xz-utils xz
need gcc gcc
need gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc
need libc6-dev-arm64-cross /usr/aarch64-linux-gnu/include/stdio.h
need make make
need libc6-dev /usr/include/stdio.h
need libelf-dev /usr/include/gelf.h
need libssl-dev /usr/include/openssl/ssl.h
need flex flex
need bison bison
need bc bc
need perl perl
need patch patch
# The guest that has systemd has the host's.
need systemd /lib/systemd/systemd
need udev udevadm
need dpkg dpkg-deb

((${#missing[@]} == 0)) || { echo "${missing[*]}"; exit 1; }
