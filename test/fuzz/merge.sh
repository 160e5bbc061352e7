#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Add to the committed corpus what a longer run has found, as few and as small inputs as reach the
# same code: doc/guides/fuzzing.
#
#   sh test/fuzz/merge.sh BUILD_DIR TARGET FOUND_DIR
set -eu

[ $# -eq 3 ] || {
	echo "usage: sh test/fuzz/merge.sh BUILD_DIR TARGET FOUND_DIR" >&2
	exit 2
}
program=$(realpath "$1/test/fuzz/fuzz_$2")
found=$(realpath "$3")
cd "$(dirname "$0")/corpus/$2"

# Without counters: an input must reach new code, not the same code more often.
"$program" -merge=1 -use_counters=0 . "$found" 2>&1 | tail -n 1
n=0
for file in *; do
	case $file in
	????????????????????????????????????????)
		while [ -e "found-$(printf %03d $n)" ]; do n=$((n + 1)); done
		mv "$file" "found-$(printf %03d $n)"
		;;
	esac
done
echo "$2: $(ls | wc -l) inputs, $(cat ./* | wc -c) bytes"
