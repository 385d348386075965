#!/bin/bash
# Process 1 of the lab's guest. The root is the host's, read-only; what has to be written lives in tmpfs; the answer
# goes to /run/lab, a directory of the host's.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount -t proc proc /proc
# Nothing but the shell itself is left once the power goes.
trap 'echo o >/proc/sysrq-trigger; while :; do :; done' EXIT
mount -t sysfs sysfs /sys
mount -t debugfs debugfs /sys/kernel/debug
mount -t tmpfs tmpfs /run
mkdir /dev/shm /run/lab /run/needed
mount -t tmpfs tmpfs /dev/shm
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 lab /run/lab
# Written by lab.sh: needed, node, boot, devices, tests.
source /run/lab/boot

# Folders of the host's by names: under /run for users who may not walk to where they are; where they are, although
# /tmp becomes a tmpfs.
for name in "${!needed[@]}"; do
  mkdir "/run/needed/$name"
  mount --bind "${needed[$name]}" "/run/needed/$name"
done
mount -t tmpfs tmpfs /tmp
for name in "${!needed[@]}"; do
  path=${needed[$name]}
  [[ -e $path ]] || { mkdir -p "$path"; mount --bind "/run/needed/$name" "$path"; }
done

"${needed[checkout]}/test/kernel/run.sh"
