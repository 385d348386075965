#!/usr/bin/env bash
# newer-qemu.sh: prints a folder with a qemu-system-x86_64 that takes iommufd and VFIO descriptors and emulates VT-d's
# scalable mode (10.0 or later): this machine's own where that is new enough, else the one of its backports.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

major() { "$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9]*\)\..*/\1/p'; }

folder=$(dirname "$(command -v qemu-system-x86_64)")
if (($(major "$folder/qemu-system-x86_64") < 10)); then
  # shellcheck source=/dev/null
  source /etc/os-release
  folder=$("$here/../machines/debian-qemu.sh" "$VERSION_CODENAME-backports")
fi
(($(major "$folder/qemu-system-x86_64") >= 10)) || { echo "lab: the QEMU in $folder is older than 10.0" >&2; exit 1; }
echo "$folder"
