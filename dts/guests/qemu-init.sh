#!/bin/busybox sh
# SPDX-License-Identifier: BSD-3-Clause
# Init of a QEMU guest: everything is in the initramfs that dts/framework/initramfs.py makes.
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin HOME=/mnt
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=75% tmp /mnt
cd /mnt || exit 1

ifconfig lo 127.0.0.1 up
while read -r module; do
	insmod "/modules/$module"
done </modules/order
echo "GUEST-UP $(uname -r)"
sh /agent.sh
poweroff -f
