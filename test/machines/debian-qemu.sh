#!/usr/bin/env bash
# debian-qemu.sh SUITE: prints a folder with the QEMU of a Debian suite, from this machine's own mirror. It is unpacked
# with everything that it needs, its libc included, and never installed: qemu-system-x86_64 and qemu-system-aarch64 there
# start on a machine of any suite. usr/ has the plain files.
set -euo pipefail
suite=$1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab
entry=$cache/debian-$suite

if [[ ! -e $entry ]]; then
  # shellcheck source=/dev/null
  source /etc/os-release
  mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    sed -n "s/^$VERSION_CODENAME main //p" | head -n 1)
  [[ $mirror ]] || { echo "debian-qemu: apt has no source for $VERSION_CODENAME main to take $suite from" >&2; exit 1; }
  echo "debian-qemu: downloading QEMU from $suite, once (about 50 MB)" >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/qemu.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work"/{lists/partial,archives/partial,parts,unpacked/usr/{bin,lib,lib64,sbin}}
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  trust=
  [[ ! -e $keyring ]] || trust="[signed-by=$keyring] "
  for each in "${suite%-backports}" "$suite"; do echo "deb $trust$mirror $each main"; done | sort -u >"$work/sources.list"
  # An apt of its own, which believes that nothing is installed: what this machine has stays as it is, and does not count.
  : >"$work/status"
  own=(-o "Dir::Etc::SourceList=$work/sources.list" -o "Dir::Etc::SourceParts=$work/parts"
    -o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status" -o "Dir::Cache=$work" -o APT::Sandbox::User=)
  {
    apt-get "${own[@]}" --quiet update
    apt-get "${own[@]}" --quiet --yes --download-only --no-install-recommends --target-release "$suite" \
      install qemu-system-x86 qemu-system-arm
  } >"$work/download.log" 2>&1 || { cat "$work/download.log" >&2; exit 1; }
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
    "$work/unpacked/$qemu" --version >&2
  done
  mv "$work/unpacked" "$entry"
fi
echo "$entry"
