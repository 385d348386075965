#!/usr/bin/env bash
# build.sh NAME...: prints the path of the image of each kernel, one a line. NAME is words joined by hyphens, first the
# architecture, x86 or arm64. Its options are common.config and WORD.config of each word, its patches WORD-*.patch, its
# source what source.sh says. What the cache lacks is built, once.
#
# A cache entry is named by everything that goes into it, so a change of the source package, of an option or of a
# patch builds anew and never reuses an older kernel by mistake; a change of a comment does not.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab
shopt -s nullglob

configs() { # configs NAME: its fragments
  local word
  for word in common ${1//-/ }; do [[ ! -e $here/$word.config ]] || echo "$here/$word.config"; done
}

patches() { # patches NAME: in the order in which they apply
  local word
  for word in ${1//-/ }; do printf '%s\n' "$here/$word"-*.patch; done | sed '/^$/d'
}

declare -A entries
name_entries() {
  local name hash configs patches
  for name; do
    mapfile -t configs < <(configs "$name")
    mapfile -t patches < <(patches "$name")
    hash=$({ grep -h CONFIG_ "${configs[@]}"; cat /dev/null "${patches[@]}"; } | sha256sum | cut -c1-16)
    entries[$name]=$cache/${name%%-*}-$("$here/source.sh" version "$name")-$hash
  done
}

missing() { # missing NAME...
  local name
  for name; do [[ -e ${entries[$name]} ]] || echo "$name"; done
}

build() { # build NAME...: one tree for each version of the source; kernels that differ in patches share their objects
  local work name version configs patches lost image
  echo "lab: building $* in $cache, once (each about 4 minutes on 2 CPUs)" >&2
  # The lock is ours, so these are what killed builds left, a gigabyte each.
  rm -rf "$cache"/build.*
  work=$(mktemp -d "$cache/build.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  for name; do
    version=$("$here/source.sh" version "$name")
    if [[ ! -d $work/$version ]]; then
      mkdir "$work/$version"
      (cd "$work/$version" && "$here/source.sh" unpack "$name")
    fi
    cd "$work/$version"
    mapfile -t configs < <(configs "$name")
    mapfile -t patches < <(patches "$name")
    local out="$work/$version.out-$(printf '%s\n' "${configs[@]##*/}" | tr -d '\n')"
    local make=(make --silent "O=$out" -j"$(nproc)")
    image=arch/x86/boot/bzImage
    if [[ $name == arm64* ]]; then
      make+=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-)
      image=arch/arm64/boot/Image
    fi
    if [[ ! -d $out ]]; then
      mkdir "$out"
      {
        "${make[@]}" tinyconfig
        scripts/kconfig/merge_config.sh -m -O "$out" "$out/.config" "${configs[@]}"
        "${make[@]}" olddefconfig
      } >config.log 2>&1 || { cat config.log >&2; exit 1; }
    fi
    # olddefconfig drops without a word what a missing dependency forbids: such a kernel would test something else.
    if lost=$(grep -h '^CONFIG_' "${configs[@]}" | grep -vxFf "$out/.config"); then
      printf 'lab: the options of %s ask for what Linux %s cannot have:\n%s\n' "$name" "$version" "$lost" >&2
      exit 1
    fi

    cat /dev/null "${patches[@]}" | patch -p1 --silent >&2
    # 9>&-: nothing that make leaves behind may go on holding the lock.
    "${make[@]}" "${image##*/}" >build.log 2>&1 9>&- || { tail -n 40 build.log >&2; exit 1; }
    mkdir "$work/entry"
    cp "$out/$image" "$work/entry/image"
    cp "$out/.config" "$work/entry/"
    # The rename is the commit: an entry is whole or not there.
    mv "$work/entry" "${entries[$name]}"
    cat /dev/null "${patches[@]}" | patch -p1 --silent --reverse >&2
  done
}

name_entries "$@"
if [[ $(missing "$@") ]]; then
  mkdir -p "$cache"
  # One build at a time: a second run waits here and then finds the first one's kernels.
  exec 9>"$cache/lock"
  flock 9
  mapfile -t names < <(missing "$@")
  ((${#names[@]} == 0)) || (build "${names[@]}")
fi
for name; do echo "${entries[$name]}/image"; done
