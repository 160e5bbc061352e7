#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Build and test vsw with newer DPDK than this machine has: Debian's, 24.11 (trixie) and 25.11
# (testing). Neither a container nor root is needed: the packages are fetched by an apt of its
# own and unpacked into a folder, compiler and linker take that for the root of the file system
# (--sysroot), and what is built names the C library there as its interpreter, so it runs as it
# is. Nothing is installed. Each version takes about 100 MB of downloads and 800 MB of disk.
#
#   sh test/dpdk-versions.sh             both
#   sh test/dpdk-versions.sh trixie      one suite
#
# The folder is build-dpdk, or $VSW_DPDK_DIR. The last line is "N passed, N failed".
set -eu
cd "$(dirname "$0")/.."

dir=$(realpath -m "${VSW_DPDK_DIR-build-dpdk}")
keys=/usr/share/keyrings/debian-archive-keyring.gpg
multiarch=$(gcc -print-multiarch)

packages="libbsd-dev libc6-dev libcmocka-dev libcurl4-openssl-dev libdpdk-dev libjansson-dev
	libmicrohttpd-dev libseccomp-dev libsystemd-dev libyaml-dev"

# Unit tests, and those tests of the daemon by which a changed library would show: rings and
# memory that come and go, streams, options of EAL; telemetry, systemd, threads.
tests="lifecycle options request stream sibling api_api api_service"

# unpack SUITE ROOT: as if nothing were installed yet, so that all that it needs comes, too.
unpack() {
	apt=$2.apt
	mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
	echo "deb [signed-by=$keys] http://deb.debian.org/debian $1 main" >"$apt/sources.list"
	: >"$apt/status"
	set -- "$1" "$2" -qq -o "Dir::Etc::SourceList=$apt/sources.list" \
		-o Dir::Etc::SourceParts=- -o "Dir::State=$apt/state" \
		-o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache" \
		-o APT::Sandbox::User=root -o Debug::NoLocking=1
	suite=$1
	root=$2
	shift 2
	apt-get "$@" update
	# shellcheck disable=SC2086 # a list
	apt-get "$@" --no-install-recommends -y --download-only install $packages
	mkdir -p "$root.new/usr/lib" "$root.new/usr/lib64"
	ln -s usr/lib usr/lib64 "$root.new"
	for deb in "$apt"/cache/archives/*.deb; do
		dpkg-deb -x "$deb" "$root.new"
	done
	mv "$root.new" "$root"
	rm -r "$apt"
	echo "$suite: DPDK $(sed -n 's/^Version: //p' "$root/usr/lib/$multiarch/pkgconfig/libdpdk.pc")"
}

# build ROOT BUILD_DIR
build() {
	lib=$1/usr/lib/$multiarch
	sysroot="--sysroot=$1 -B$lib"
	export PKG_CONFIG_SYSROOT_DIR="$1" PKG_CONFIG_LIBDIR="$lib/pkgconfig:$1/usr/share/pkgconfig"
	[ -f "$2/build.ninja" ] || meson setup "$2" -Dc_args="$sysroot" -Dc_link_args="$sysroot \
		-Wl,--dynamic-linker=$lib/ld-linux-x86-64.so.2 \
		-Wl,-rpath=$lib -Wl,--disable-new-dtags" >"$2.setup" 2>&1 ||
		{ cat "$2.setup"; return 1; }
	ninja -C "$2" >"$2.ninja" 2>&1 || { tail -n 50 "$2.ninja"; return 1; }
}

failed_to_build=0
results=$dir/results
rm -rf "$results"
mkdir -p "$results"
for suite in ${1-trixie testing}; do
	[ -d "$dir/$suite" ] || unpack "$suite" "$dir/$suite"
	if ! build "$dir/$suite" "$dir/$suite-build"; then
		failed_to_build=1
		continue
	fi
	# shellcheck disable=SC2086 # a list
	meson test -C "$dir/$suite-build" --no-rebuild --print-errorlogs --suite unit || true
	cp "$dir/$suite-build/meson-logs/testlog.json" "$results/$suite.unit.meson.json"
	# shellcheck disable=SC2086
	meson test -C "$dir/$suite-build" --no-rebuild --print-errorlogs $tests || true
	cp "$dir/$suite-build/meson-logs/testlog.json" "$results/$suite.daemon.meson.json"
done
exec /usr/bin/python3 test/totals.py "$results" "$failed_to_build"
