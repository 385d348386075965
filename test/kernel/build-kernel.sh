#!/usr/bin/env bash
# build-kernel.sh NAME...: prints the path of the bzImage of each kernel, one a line. NAME is the lab's kernel,
# linux.config, with the patches NAME-*.patch; `linux` has none. What the cache lacks is built, once, all in one tree.
#
# A cache entry is named by everything that goes into it, so a change of the source package, of an option or of a
# patch builds anew and never reuses an older kernel by mistake; a change of a comment does not.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

config=$here/linux.config
package=$(sed -n 's/^# package: //p' "$config")
version=$(dpkg-query --show --showformat='${Version}' "$package")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab
shopt -s nullglob

entry() { # entry NAME
  local hash
  hash=$({ grep CONFIG_ "$config"; cat /dev/null "$here/$1"-*.patch; } | sha256sum | cut -c1-16)
  echo "$cache/$version-$hash"
}

missing() { # missing NAME...
  local name
  for name; do [[ -e $(entry "$name") ]] || echo "$name"; done
}

build() { # build NAME...: in a tree of their own, so that what they share is compiled once
  local work patches name
  echo "lab: building Linux $version ($*) in $cache, once (about 6 minutes on 2 CPUs)" >&2
  # The lock is ours, so these are what killed builds left, a gigabyte each.
  rm -rf "$cache"/build.*
  work=$(mktemp -d "$cache/build.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  tar -xf "/usr/src/$package.tar.xz" -C "$work" --strip-components=1
  cd "$work"
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

  for name; do
    patches=("$here/$name"-*.patch)
    cat /dev/null "${patches[@]}" | patch -p1 --silent >&2
    # 9>&-: nothing that make leaves behind may go on holding the lock.
    make --silent -j"$(nproc)" bzImage >build.log 2>&1 9>&- || { tail -n 40 build.log >&2; exit 1; }
    mkdir entry
    cp arch/x86/boot/bzImage .config entry/
    # The rename is the commit: an entry is whole or not there.
    mv entry "$(entry "$name")"
    cat /dev/null "${patches[@]}" | patch -p1 --silent --reverse >&2
  done
}

if [[ $(missing "$@") ]]; then
  mkdir -p "$cache"
  # One build at a time: a second run waits here and then finds the first one's kernels.
  exec 9>"$cache/lock"
  flock 9
  mapfile -t names < <(missing "$@")
  ((${#names[@]} == 0)) || (build "${names[@]}")
fi
for name; do echo "$(entry "$name")/bzImage"; done
