#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Build vsw, start vswd and a real Linux guest (User-Mode Linux: no KVM, no disk image), and
# let the guest and this host talk to each other in both directions. On Debian 12, as root if
# packages are missing. Cleans up after itself.
set -eu
cd "$(dirname "$0")/.."
top=$PWD

say() {
	printf '\n\033[1m%s\033[0m\n' "$*"
}

# Show a command, then run it.
run() {
	printf '\033[32m$ %s\033[0m\n' "$*"
	eval "$@"
}

say "1. What is needed: a compiler, DPDK, User-Mode Linux"
sh test/install-deps.sh
run "dpkg-query -W libdpdk-dev user-mode-linux socat"

say "2. Build"
[ -f build/build.ninja ] || meson setup build >/dev/null
ninja -C build app/vswd app/vsw dts/uml_xstate.so | tail -n 1

dir=$(mktemp -d /tmp/vsw-demo.XXXXXX)
vswd_pid=
guest_pid=
clean_up() {
	trap - EXIT INT TERM
	[ -z "$guest_pid" ] || kill -9 "-$guest_pid" || true
	[ -z "$vswd_pid" ] || { kill "$vswd_pid" 2>/dev/null && wait "$vswd_pid" || true; }
	rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

export PATH="$top/build/app:$PATH"

# Wait until COMMAND succeeds, at most 60 s, while vswd and the guest are alive.
wait_for() {
	what=$1
	shift
	tries=600
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		if [ "$tries" -eq 0 ] || ! kill -0 "$vswd_pid" "${guest_pid:-$$}"; then
			echo "waited in vain for $what" >&2
			cat "$dir"/*.log >&2
			exit 1
		fi
		sleep 0.1
	done
}

say "3. Start the switch, for a guest with the context id 3"
echo "\$ vswd --vm guest-cid=3,socket=$dir/vm3.vhost,uds-path=$dir/vm3.vsock &"
vswd --vm "guest-cid=3,socket=$dir/vm3.vhost,uds-path=$dir/vm3.vsock" >"$dir/vswd.log" 2>&1 &
vswd_pid=$!
wait_for "vswd's sockets" test -S "$dir/vm3.vsock"

say "4. Boot the guest; its root is this host's /, read-only"
modules=$(echo /usr/lib/uml/modules/*)
# Its kernel and its processes are processes that take turns: on one cpu they do it faster.
cpu=$(taskset -cp $$ | sed "s/.*[-, ]//")
echo "\$ linux.uml virtio_uml.device=$dir/vm3.vhost:19 ... &"
# dts/guests/uml_xstate.c says why there is a preload.
setsid taskset -c "$cpu" env LD_PRELOAD="$top/build/dts/uml_xstate.so" linux.uml mem=256M root=/dev/root rootfstype=hostfs rootflags=/ ro \
	init="$top/dts/guests/uml-init.sh" run="$top/dts/guests/demo.sh" modules="$modules" \
	con=null con0=null,fd:1 quiet uml_dir="$dir" umid=demo \
	"virtio_uml.device=$dir/vm3.vhost:19" </dev/null >"$dir/guest.log" 2>&1 &
guest_pid=$!
wait_for "the guest to serve port 9000" sh -c "echo true | vsw connect '$dir/vm3.vsock' 9000"
grep GUEST-UP "$dir/guest.log"

say "5. Host to guest: a command for the guest's shell, which listens on vsock port 9000"
run "echo 'uname -sr; cat /proc/version | cut -c1-60' | vsw connect $dir/vm3.vsock 9000"

say "6. Guest to host: the host listens on ${dir}/vm3.vsock_52, the guest connects to CID 2, port 52"
run "socat -u UNIX-LISTEN:$dir/vm3.vsock_52 - &"
wait_for "the host's listener" test -S "$dir/vm3.vsock_52"
run "echo 'echo hello from the guest, to CID 2, port 52 | socat -u - VSOCK-CONNECT:2:52' |
    vsw connect $dir/vm3.vsock 9000"
wait_for "the host's listener to end" sh -c "! test -S '$dir/vm3.vsock_52'"

say "7. Nobody listens there: refused at once, both ways"
run "vsw connect $dir/vm3.vsock 77 </dev/null || echo \"exit status \$?\""
run "echo 'socat -u - VSOCK-CONNECT:2:77 </dev/null 2>&1 | sed s/.*connect/connect/' |
    vsw connect $dir/vm3.vsock 9000"

# rate FROM_NS TO_NS MIB
rate() {
	awk -v from="$1" -v to="$2" -v mib="$3" 'BEGIN {
		seconds = (to - from) / 1e9
		printf "%d MiB in %.2f s: %.2f Gbit/s\n", mib, seconds, mib * 8 * 1.048576 / 1000 / seconds
	}'
}

mib=256
say "8. $mib MiB each way (this guest's kernel runs in user space: it is the limit)"
head -c ${mib}M /dev/urandom >"$dir/data"
hash=$(sha256sum <"$dir/data")
from=$(date +%s%N)
vsw connect "$dir/vm3.vsock" 9001 <"$dir/data"
echo "host to guest: $(rate "$from" "$(date +%s%N)" $mib)"

socat -u -b 65536 "UNIX-LISTEN:$dir/vm3.vsock_53" "CREATE:$dir/received" &
receiver_pid=$!
wait_for "the host's listener" test -S "$dir/vm3.vsock_53"
from=$(date +%s%N)
echo "socat -u -b 65536 OPEN:$dir/data VSOCK-CONNECT:2:53" | vsw connect "$dir/vm3.vsock" 9000
wait "$receiver_pid"
echo "guest to host: $(rate "$from" "$(date +%s%N)" $mib)"
[ "$hash" = "$(sha256sum <"$dir/received")" ] || { echo "the hash is wrong" >&2; exit 1; }
echo "it is what was sent: the hash is right"

say "9. Close down"
kill -9 "-$guest_pid"
guest_pid=
kill "$vswd_pid"
status=0
wait "$vswd_pid" || status=$?
vswd_pid=
cat "$dir/vswd.log"
echo "vswd has ended with status $status"
[ "$status" -eq 0 ]
[ ! -e "$dir/vm3.vhost" ] && [ ! -e "$dir/vm3.vsock" ] && echo "and its sockets are gone"
