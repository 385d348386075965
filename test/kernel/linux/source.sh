#!/usr/bin/env bash
# Where a kernel's source comes from. NAME is a kernel's (build.sh); with the word `next` in it, its source is the newest
# that a suite of Debian's has, else the installed linux-source-6.12.
#
#   source.sh version NAME   prints the version
#   source.sh unpack NAME    unpacks it into the working directory
#
# The suites are asked once a day. When none can be reached, the last answer holds.
set -euo pipefail
lab=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab
installed=linux-source-6.12
suites="trixie-backports forky-backports forky sid"

# Prints "PACKAGE VERSION".
newest() {
  local answer=$cache/next-source found
  if [[ -z $(find "$answer" -mtime -1 2>/dev/null) ]]; then
    mkdir -p "$cache"
    # shellcheck disable=SC2016
    found=$("$lab/debian.sh" "$suites" amd64 bash -c 'apt-cache madison $(apt-cache pkgnames linux-source-)' |
      sed -nE 's/^ *(linux-source-[0-9.]+) \| *([^ ]+) \|.*/\1 \2/p' | sort -V -k2,2 | tail -n 1) || true
    [[ -z $found ]] || echo "$found" >"$answer"
  fi
  cat "$answer" 2>/dev/null || { echo "lab: none of $suites has a kernel source" >&2; exit 1; }
}

case $1-$2- in
  version-*-next-*) newest | cut -d' ' -f2 ;;
  version-*) dpkg-query --show --showformat='${Version}' "$installed" ;;
  unpack-*-next-*)
    read -r package version <<<"$(newest)"
    work=$(mktemp -d "$cache/source.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "lab: downloading $package $version (about 170 MB)" >&2
    (cd "$work" && "$lab/debian.sh" "$suites" amd64 apt-get --quiet --quiet download "$package=$version")
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -xO "./usr/src/$package.tar.xz" | tar -xJ --strip-components=1
    ;;
  unpack-*) tar -xf "/usr/src/$installed.tar.xz" --strip-components=1 ;;
  *) exit 2 ;;
esac
