#!/usr/bin/env bash
# stock.sh: prints the path of the image of Debian's own Linux 6.12, which has no iommufd. Beside it lies an
# initrd with the modules for a root over 9p and for VFIO. The package is downloaded and unpacked, never installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iovad-lab

package=$(apt-cache pkgnames linux-image-6.12. | grep -xE 'linux-image-[0-9.]+\+deb[0-9]+-amd64' | sort -V | tail -n 1)
[[ $package ]] || { echo "lab: apt knows no linux-image-6.12 (try apt-get update)" >&2; exit 1; }
parts=("$here/stock-init.c" "$here/stock-initrd.mjs")
entry=$cache/$package-$(cat "${parts[@]}" "$0" | sha256sum | cut -c1-16)

if [[ ! -e $entry ]]; then
  echo "lab: downloading $package, once (about 100 MB)" >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/stock.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  apt-get download --quiet --quiet "$package" 2>download.log || { cat download.log >&2; exit 1; }
  dpkg-deb --extract ./*.deb unpacked
  mkdir -p entry modules
  cp unpacked/boot/vmlinuz-* entry/image
  for module in netfs 9pnet 9pnet_virtio 9p irqbypass vfio vfio_iommu_type1 vfio-pci-core vfio-pci; do
    find unpacked -name "$module.ko.xz" -exec xz --decompress --stdout {} + >"modules/$module.ko"
  done
  gcc -O -Wall -static -o init "$here/stock-init.c"
  node "$here/stock-initrd.mjs" init modules/*.ko | gzip >entry/initrd
  mv entry "$entry"
fi
echo "$entry/image"
