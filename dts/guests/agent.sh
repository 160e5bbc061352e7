#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A guest's end of dts/framework/agent.py: runs what the tests ask for, over a serial line of
# its own ($agent on the kernel's command line), which no test of vsock can break.
#
#   ready KERNEL        at the start
#   < ID COMMAND        run COMMAND, beside all others
#   > ID:LINE           a line of its output
#   > ID=STATUS         it has ended
# shellcheck disable=SC2154 # agent comes from the command line
exec <"$agent" >"$agent"
busybox stty raw -echo
echo "ready $(uname -r)"
# In ( &): a grandchild, which init reaps. When SIGCHLD interrupts busybox's read, what it has
# read is lost.
while read -r id command; do
	({
		sh -c "$command" </dev/null 2>&1
		printf '\n=%s=%s\n' "$id" $?
	} | while IFS= read -r line; do
		case $line in
		"=$id="*) printf '%s\n' "${line#=}" ;;
		*) printf '%s:%s\n' "$id" "$line" ;;
		esac
	done &)
done
