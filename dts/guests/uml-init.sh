#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Init of a User-Mode Linux guest whose root is the host's /, read-only, by hostfs. The
# kernel's command line gives run=SCRIPT, what to do, and modules=FOLDER, the kernel's modules
# (nothing if they are built in).
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/mnt TMPDIR=/mnt
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /mnt
mount -t tmpfs run /run
mount -t devtmpfs dev /dev 2>/dev/null
cd /mnt || exit 1

busybox ifconfig lo 127.0.0.1 up
if [ -n "$modules" ]; then
	for module in vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport; do
		busybox insmod "$modules/kernel/net/vmw_vsock/$module.ko"
	done
fi
echo "GUEST-UP $(uname -r)"
# shellcheck disable=SC2154 # run comes from the command line
bash "$run"
busybox poweroff -f
