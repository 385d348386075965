#!/usr/bin/env bash
# debian-qemu.sh SUITE: prints a folder with the QEMU of a Debian suite, from this machine's own mirror. It is unpacked
# with everything that it needs, its libc included, and never installed: qemu-system-x86_64 and qemu-system-aarch64 there
# start on a machine of any suite.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
suite=$1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab
entry=$cache/debian-$suite

if [[ ! -e $entry ]]; then
  echo "machines: downloading QEMU from $suite, once (about 50 MB)" >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/qemu.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work"/archives/partial "$work"/unpacked/usr/{bin,lib,lib64,sbin}
  suites=$suite
  [[ $suite != *-backports ]] || suites="${suite%-backports} $suite"
  # To an apt that believes nothing to be installed, everything is missing. It changes nothing here, so it takes no lock.
  own=(-o "Dir::Cache::Archives=$work/archives" -o Debug::NoLocking=1 --target-release "$suite")
  "$here/../kernel/debian.sh" "$suites" "$(dpkg --print-architecture)" apt-get "${own[@]}" --quiet --quiet --yes \
    --download-only --no-install-recommends install qemu-system-x86 qemu-system-arm
  # Older suites have files in /lib, newer ones all in /usr.
  for folder in bin lib lib64 sbin; do ln -s "usr/$folder" "$work/unpacked/$folder"; done
  for package in "$work"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar --extract --keep-directory-symlink --directory "$work/unpacked" \
      --exclude='./usr/share/doc*' --exclude='./usr/share/locale*' --exclude='./usr/share/man*' \
      --exclude='./usr/share/iso-codes*' --exclude='./usr/share/xml*'
  done
  for qemu in qemu-system-x86_64 qemu-system-aarch64; do
    cat >"$work/unpacked/$qemu" <<'END'
#!/bin/sh
usr=$(dirname "$(readlink -f "$0")")/usr
for loader in "$usr"/lib/*-linux-gnu*/ld-linux-*.so.*; do break; done
libraries=${loader%/*}
export QEMU_MODULE_DIR="$libraries/qemu"
exec "$loader" --library-path "$libraries" "$usr/bin/${0##*/}" -L "$usr/share/qemu" -L "$usr/share/seabios" "$@"
END
    chmod +x "$work/unpacked/$qemu"
    "$work/unpacked/$qemu" --version | head -n 1 >&2
  done
  mv "$work/unpacked" "$entry"
fi
echo "$entry"
