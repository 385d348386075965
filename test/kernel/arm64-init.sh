#!/bin/bash
# Process 1 of an arm64 guest, whose root has no checkout: mounts it and goes on with its init.sh, as `lab_init=` on the
# kernel's command line names it.
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro checkout /srv/checkout
exec "$lab_init"
