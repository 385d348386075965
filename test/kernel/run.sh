#!/bin/bash
# What the guest is for, once its file systems are there: binds the devices, runs the tests, leaves their status. /run/lab
# is a directory of the host's; without a status file there the guest has died on the way.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Written by lab.sh: needed, node, boot, devices, tests.
source /run/lab/boot

# A machine without a clock begins in 1970: the host has written this just now.
(($(date +%s) > 1000000000)) || date --set="@$(stat --format=%Y /run/lab/boot)" >/dev/null

for device in "${devices[@]}"; do
  echo vfio-pci >"/sys/bus/pci/devices/$device/driver_override"
  echo "$device" >/sys/bus/pci/drivers_probe
  [[ -d /sys/bus/pci/devices/$device/vfio-dev ]] || { echo "lab: $device did not bind to vfio-pci"; exit 1; }
done

cd "${needed[checkout]}"
export HOME=/tmp CI=1 NO_COLOR=1 IOVAD_KERNEL=linux IOVAD_LAB_BOOT="$boot"
# The runner config loader is the one that writes nothing beside the configuration file; without a terminal, vitest
# prints plain lines.
"$node" node_modules/vitest/vitest.mjs run --config test/kernel/vitest.config.ts --configLoader runner \
  --outputFile.json=/run/lab/report.json "${tests[@]}" </dev/null 2>&1 | cat && status=0 || status=$?
echo "$status" >/run/lab/status
