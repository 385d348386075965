#!/usr/bin/env bash
# newer-qemu.sh: prints the folder of a QEMU that takes iommufd and VFIO descriptors and emulates both stages of VT-d (10.0
# or later): /usr where that is new enough, else one from the backports of this machine's own Debian, unpacked and never
# installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab

major() { "$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9]*\)\..*/\1/p'; }

installed=$(command -v qemu-system-x86_64 || true)
if [[ $installed ]] && (($(major "$installed") >= 10)); then
  echo "${installed%/bin/*}"
  exit
fi

# shellcheck source=/dev/null
source /etc/os-release
suite=$VERSION_CODENAME-backports
entry=$cache/qemu-$suite
if [[ ! -e $entry ]]; then
  echo "lab: downloading QEMU from $suite, once (about 15 MB)" >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/qemu.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  "$here/debian.sh" "$suite" amd64 apt-get --quiet --quiet download qemu-system-{x86,common,data}
  for package in ./*.deb; do dpkg-deb --extract "$package" "$work/unpacked"; done
  qemu=$work/unpacked/usr/bin/qemu-system-x86_64
  if missing=$(ldd "$qemu" | grep 'not found'); then
    printf 'lab: QEMU from %s lacks libraries on this machine:\n%s\n' "$suite" "$missing" >&2
    exit 1
  fi
  (($(major "$qemu") >= 10)) || { echo "lab: the QEMU of $suite is older than 10.0" >&2; exit 1; }
  mv "$work/unpacked" "$entry"
fi
echo "$entry/usr"
