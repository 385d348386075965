#!/usr/bin/env bash
# newer-qemu.sh: prints the folder of a QEMU that takes iommufd and VFIO descriptors (9.0 or later): /usr where that is
# new enough, else one from the backports of this machine's own Debian mirror, unpacked and never installed.
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab

major() { "$1" --version 2>/dev/null | sed -n 's/^QEMU emulator version \([0-9]*\)\..*/\1/p'; }

installed=$(command -v qemu-system-x86_64 || true)
if [[ $installed ]] && (($(major "$installed") >= 9)); then
  echo "${installed%/bin/*}"
  exit
fi

# shellcheck source=/dev/null
source /etc/os-release
suite=$VERSION_CODENAME-backports
entry=$cache/qemu-$suite
if [[ ! -e $entry ]]; then
  mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    sed -n "s/^$VERSION_CODENAME main //p" | head -n 1)
  [[ $mirror ]] || { echo "lab: apt has no source for $VERSION_CODENAME main to take the backports from" >&2; exit 1; }
  echo "lab: downloading QEMU from $suite, once (about 15 MB)" >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/qemu.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  mkdir -p lists/partial archives/partial packages parts
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  trust=
  [[ ! -e $keyring ]] || trust="[signed-by=$keyring] "
  echo "deb $trust$mirror $suite main" >backports.list
  # An apt of its own: what this machine knows of packages stays as it is.
  own=(-o "Dir::Etc::SourceList=$work/backports.list" -o "Dir::Etc::SourceParts=$work/parts"
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User=)
  {
    apt-get "${own[@]}" --quiet update
    cd packages
    apt-get "${own[@]}" --quiet --target-release "$suite" download qemu-system-x86 qemu-system-common qemu-system-data
  } >"$work/download.log" 2>&1 || { cat "$work/download.log" >&2; exit 1; }
  for package in ./*.deb; do dpkg-deb --extract "$package" "$work/unpacked"; done
  qemu=$work/unpacked/usr/bin/qemu-system-x86_64
  if missing=$(ldd "$qemu" | grep 'not found'); then
    printf 'lab: QEMU from %s lacks libraries on this machine:\n%s\n' "$suite" "$missing" >&2
    exit 1
  fi
  (($(major "$qemu") >= 9)) || { echo "lab: the QEMU of $suite is older than 9.0" >&2; exit 1; }
  mv "$work/unpacked" "$entry"
fi
echo "$entry/usr"
