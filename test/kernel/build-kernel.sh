#!/usr/bin/env bash
# build-kernel.sh NAME: builds the kernel of NAME.config once and prints the path of its bzImage; later runs find it
# in the cache.
#
# A cache entry is named by everything that goes into it, so a change of the source package, of an option or of a
# patch builds anew and never reuses an older kernel by mistake; a change of a comment does not.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

name=$1
config=$here/$name.config
package=$(sed -n 's/^# package: //p' "$config")
source=/usr/src/$package.tar.xz
shopt -s nullglob
patches=("$here/$name"-*.patch)

version=$(dpkg-query --show --showformat='${Version}' "$package")
hash=$({ grep CONFIG_ "$config"; cat /dev/null "${patches[@]}"; } | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab
entry=$cache/$version-$hash
mkdir -p "$cache"

# One build at a time: a second run waits here and then finds the first one's kernel.
exec 9>"$cache/lock"
flock 9

if [[ ! -e $entry ]]; then
  echo "lab: building Linux $version in $cache, once (about 6 minutes on 2 CPUs)" >&2
  # The lock is ours, so these are what killed builds left, a gigabyte each.
  rm -rf "$cache"/build.*
  work=$(mktemp -d "$cache/build.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  tar -xf "$source" -C "$work" --strip-components=1
  cd "$work"
  for patch in "${patches[@]}"; do patch -p1 --silent <"$patch" >&2; done
  {
    make --silent tinyconfig
    scripts/kconfig/merge_config.sh -m .config "$config"
    make --silent olddefconfig
  } >config.log 2>&1 || { cat config.log >&2; exit 1; }

  # olddefconfig drops without a word what a missing dependency forbids: such a kernel would test something else.
  if lost=$(grep '^CONFIG_' "$config" | grep -vxFf .config); then
    printf 'lab: %s asks for what this kernel cannot have:\n%s\n' "$config" "$lost" >&2
    exit 1
  fi

  # 9>&-: nothing that make leaves behind may go on holding the lock.
  make --silent -j"$(nproc)" bzImage >build.log 2>&1 9>&- || { tail -n 40 build.log >&2; exit 1; }
  mkdir "$work/entry"
  cp arch/x86/boot/bzImage .config "$work/entry/"
  # The rename is the commit: an entry is whole or not there.
  mv "$work/entry" "$entry"
fi
echo "$entry/bzImage"
