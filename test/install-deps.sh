#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Install what building, testing and the demo need, on Debian 12, if it is missing.
# As root; as an ordinary user it says what is missing.
set -eu

packages="
	clang clang-format clang-tidy cppcheck libclang-rt-14-dev
	gcc libbsd-dev libcmocka-dev libcurl4-openssl-dev libdpdk-dev libjansson-dev
	libmicrohttpd-dev libseccomp-dev libsystemd-dev libyaml-dev meson ninja-build
	pkg-config scdoc
	babeltrace2 bash-completion busybox-static cpio curl iproute2 kmod linux-image-cloud-amd64
	linux-source-6.1 make ncat openssh-client openssh-server python3-prometheus-client
	python3-pytest qemu-system-x86 samba smbclient socat tshark user-mode-linux valgrind
"

missing=
for package in $packages; do
	case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
	*" installed") ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages; as root: apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # a list of packages
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	cat "$log" >&2
	exit 1
fi
