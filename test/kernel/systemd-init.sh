#!/bin/bash
# Process 1 of a guest that is to have systemd, which it becomes. The root is the host's below a layer in memory, so that
# packages can be installed; systemd runs the tests as a service, and they find everything where init.sh has it.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount -t proc proc /proc
trap 'echo o >/proc/sysrq-trigger; while :; do :; done' EXIT
mount -t tmpfs tmpfs /mnt
mkdir /mnt/layer /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/layer,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
# -n: mount(8) has nowhere to keep a table of its own.
mount -n --move /dev dev
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lab run/needed
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 lab run/lab
source run/lab/boot
for name in "${!needed[@]}"; do
  mkdir "run/needed/$name"
  mount --bind "${needed[$name]#/}" "run/needed/$name"
done

# Nothing that walks the whole of the host's root, or sets up what the guest has not.
units=etc/systemd/system
# A container's, which forbids to start services.
rm -f usr/sbin/policy-rc.d
for unit in dbus.service dbus.socket systemd-{hwdb-update,journal-flush,machine-id-commit,modules-load,random-seed}.service \
  systemd-{remount-fs,sysctl,sysusers,tmpfiles-setup,tmpfiles-setup-dev,udev-trigger,update-utmp}.service; do
  ln -sf /dev/null "$units/$unit"
done
cat >"$units/lab.service" <<UNIT
[Unit]
DefaultDependencies=no
Wants=systemd-journald.service systemd-udevd.service
After=systemd-journald.service systemd-udevd.service
SuccessAction=poweroff-immediate
FailureAction=poweroff-immediate
[Service]
Type=oneshot
ExecStart=${needed[checkout]}/test/kernel/run.sh
StandardOutput=file:/dev/console
StandardError=file:/dev/console
UNIT
printf '[Unit]\nDefaultDependencies=no\nRequires=lab.service\nAllowIsolate=yes\n' >"$units/lab.target"
mkdir -p etc/systemd/system.conf.d
printf '[Manager]\nShowStatus=no\n' >etc/systemd/system.conf.d/lab.conf
: >etc/machine-id
: >etc/fstab

mkdir -p old
umount /proc
pivot_root . old
exec chroot . /lib/systemd/systemd --unit=lab.target --show-status=0 --log-target=console --log-level=notice \
  </dev/console >/dev/console 2>&1
