#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Build and run every test: lints, unit tests and tests of the daemon with synthetic guests,
# plain and with sanitizers; then real Linux guests. Installs what is missing (Debian 12, root).
# The last line is "N passed, N failed".
#
#   sh test/run.sh            everything
#   sh test/run.sh --quick    no sanitizers, no QEMU
set -eu
cd "$(dirname "$0")/.."

quick=no
case ${1-} in
"") ;;
--quick) quick=yes ;;
*)
	echo "usage: sh test/run.sh [--quick]" >&2
	exit 2
	;;
esac

python=/usr/bin/python3
results=build/results
failed_to_build=0

sh test/install-deps.sh
rm -rf "$results"
mkdir -p "$results"

# meson_tests BUILD_DIR TARGET [SETUP_OPTION...]: TARGET is "all", or the name of a suite, too.
meson_tests() {
	dir=$1
	target=$2
	shift 2
	echo "== $dir: build and meson test"
	[ -f "$dir/build.ninja" ] || meson setup "$dir" "$@" >"$results/$dir.setup" 2>&1 ||
		{ cat "$results/$dir.setup"; failed_to_build=1; return; }
	ninja -C "$dir" "$target" >"$results/$dir.ninja" 2>&1 ||
		{ tail -n 50 "$results/$dir.ninja"; failed_to_build=1; return; }
	set -- --print-errorlogs --no-rebuild
	[ "$target" = all ] || set -- "$@" --suite "$target"
	[ "$dir" = build ] || set -- "$@" --no-suite lint # the sources are the same
	meson test -C "$dir" "$@" || true
	cp "$dir/meson-logs/testlog.json" "$results/$dir.meson.json"
}

meson_tests build all
if [ "$quick" = no ]; then
	meson_tests build-asan all -Db_sanitize=address,undefined -Db_lundef=false
	# The fabric, and guests that come, stop and go while lcores run: doc/guides/fuzzing.
	meson_tests build-tsan threads -Db_sanitize=thread -Db_lundef=false
fi

if [ -d dts ] && [ "$failed_to_build" = 0 ]; then
	echo "== real guests"
	if [ "$quick" = yes ]; then
		set -- -k "not qemu"
	else
		set --
	fi
	$python -m pytest -q dts --junit-xml="$results/dts.xml" "$@" || true
fi

exec $python test/totals.py "$results" "$failed_to_build"
