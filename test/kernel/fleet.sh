#!/usr/bin/env bash
# A fleet of the lab's boots: each publishes what its kernel allows; then each is asked for a guest that `iovactl fleet
# find` has laid out for all of them, and for guests that some of them cannot have. Two boots a host, half a minute each.
#
#   test/kernel/fleet.sh [BOOT...]
#
# Without a BOOT: those of the core that have an IOMMU for the conformance suite.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
boots=("$@")
(($#)) || mapfile -t boots < <(sed -n 's/ | core |.*conformance\/ .*//p' "$here/boots")

IOVAD_LAB_FLEET=$(mktemp -d)
export IOVAD_LAB_FLEET
trap 'rm -rf "$IOVAD_LAB_FLEET"' EXIT

"$here/lab.sh" "${boots[@]}" -- kernel/fleet.test
ctl=$here/../../dist/ctl/main.js
node "$ctl" fleet --from "$IOVAD_LAB_FLEET" hosts
node "$ctl" fleet --from "$IOVAD_LAB_FLEET" outliers
node "$here/fleet-layouts.mjs" "$IOVAD_LAB_FLEET" >"$IOVAD_LAB_FLEET/layouts"
"$here/lab.sh" "${boots[@]}" -- kernel/fleet.test
