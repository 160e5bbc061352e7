# SPDX-License-Identifier: BSD-3-Clause
"""Real Linux guests that need no KVM: User-Mode Linux, and QEMU's TCG."""

import json
import os
import pathlib
import shutil
import socket

from .agent import Agent
from .initramfs import initramfs, kernel
from .paths import VSW_STATIC
from .wait import BOOT_DEADLINE, DEADLINE

MEMORY = "256M"
DRIVER = "/sys/bus/virtio/drivers/vmw_vsock_virtio_transport"


class Guest:
    """A VMM and the Linux in it. Of kinds, see below; vsw is the client that runs in it."""

    def __init__(self, lab, vm, user=None):
        self.lab = lab
        self.vm = vm
        self.user = user
        self.name = f"{self.kind}{vm.cid}"
        self.process = None
        self.agent = None

    def start(self):
        """Start the VMM, wait until its Linux is up."""
        ours, theirs = socket.socketpair()
        self.agent = Agent(ours, self.lab.logs / f"{self.name}.agent.log")
        with theirs:
            self.process = self._start_vmm(theirs.fileno())
        self.wait_for_boot(1)

    def wait_for_boot(self, n):
        self.agent.wait_until(lambda: self.agent.n_boots >= n or self.agent.is_gone,
                              f"boot {n} of {self.name}", BOOT_DEADLINE)
        assert not self.agent.is_gone, f"{self.name} has died instead of booting"

    def kill(self):
        """As with kill -9."""
        if self.process is not None:
            self.process.kill()
            self.agent.close()
            self.process = None

    def power_off(self):
        """From inside."""
        self.begin("busybox poweroff -f")
        self.process.wait()
        self.kill()

    def begin(self, command):
        """Start a command in the guest's folder of scratch files. @return a Task."""
        return self.agent.start(command)

    def run(self, command, timeout=DEADLINE):
        """@return what a command has printed, which must succeed."""
        task = self.begin(command)
        status = task.finish(timeout)
        assert status == 0, f"the guest's `{command}`: status {status}\n{task.output}"
        return task.output

    def listen(self, port, then, options="", port_options=""):
        """Let the guest's socat serve a port of its own. @return a Task."""
        task = self.begin(f"socat -d -d -b 65536 -t {DEADLINE} {options} "
                          f"VSOCK-LISTEN:{port},backlog=128,reuseaddr{port_options} {then}")
        task.wait_for_output(r"listening on")
        return task


class Uml(Guest):
    """Its root is this host's /, read-only. VSW_UML names another kernel than Debian's; one
    that has no modules."""

    kind = "uml"
    vsw = str(VSW_STATIC)

    def load_ipv6(self):
        self._load("lib/crc-ccitt", "net/ipv6/ipv6")

    def load_cifs(self):
        self._load("crypto/hmac", "crypto/cmac", "crypto/ctr", "crypto/ccm", "crypto/gf128mul",
                   "crypto/ghash-generic", "crypto/gcm", "lib/asn1_decoder", "lib/oid_registry",
                   "fs/smb/common/cifs_arc4", "fs/smb/common/cifs_md4",
                   "net/dns_resolver/dns_resolver", "fs/smb/client/cifs")

    def _load(self, *modules):
        """Debian's kernel has much as modules; another has it built in."""
        if folder := self._modules():
            self.run(f"for module in {' '.join(modules)}; do "
                     f"busybox insmod {folder}/kernel/$module.ko || exit; done")

    @staticmethod
    def _modules():
        if os.environ.get("VSW_UML"):
            return ""
        return next(pathlib.Path("/usr/lib/uml/modules").iterdir())

    def _start_vmm(self, agent_fd):
        own_kernel = os.environ.get("VSW_UML")
        folder = self.lab.folder
        # Its kernel and its processes are processes that take turns: twice as fast on one cpu.
        cpu = max(os.sched_getaffinity(0))
        return self.lab.run(
            self.name,
            ["taskset", "-c", str(cpu), own_kernel or "linux.uml", f"mem={MEMORY}",
             "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
             f"init={folder}/uml-init.sh", f"run={folder}/agent.sh", f"modules={self._modules()}",
             "con=null", "con0=null,fd:1", "ssl=null", f"ssl0=fd:{agent_fd}",
             "agent=/dev/ttyS0", "quiet", f"uml_dir={folder}", f"umid={self.name}",
             f"virtio_uml.device={self.vm.vhost}:19"],
            user=self.user,
            pass_fds=[agent_fd],
            env={**os.environ, "LD_PRELOAD": str(folder / "uml_xstate.so"),
                 "GLIBC_TUNABLES": "glibc.pthread.rseq=0", "TMPDIR": self._memory_folder()})

    def _memory_folder(self):
        """Where UML has its memory. A container's /dev/shm may be too small."""
        roomy = shutil.disk_usage("/dev/shm").free > 2**30
        return "/dev/shm" if roomy else str(self.lab.folder)


class Qemu(Guest):
    """Everything it has is in its initramfs."""

    kind = "qemu"
    vsw = "vsw-static"

    def load_ipv6(self):
        pass

    def _start_vmm(self, agent_fd):
        chardev = f"socket,id=vsock,path={self.vm.vhost}"
        if self.vm.vmm_listens:
            chardev += ",server=on,wait=on"
        # A machine of many cpus would not be faster; ERMS is slow under TCG: bytes one by one.
        self._monitor, monitor = socket.socketpair()
        with monitor:
            return self.lab.run(
                self.name,
                ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
                 "-M", "pc", "-accel", "tcg", "-cpu", "max,-erms,-fsrm", "-m", MEMORY,
                 "-object", f"memory-backend-memfd,id=mem,size={MEMORY},share=on",
                 "-machine", "memory-backend=mem",
                 "-serial", "stdio",
                 "-chardev", f"socket,id=agent,fd={agent_fd}", "-serial", "chardev:agent",
                 "-chardev", f"socket,id=qmp,fd={monitor.fileno()}",
                 "-mon", "chardev=qmp,mode=control",
                 "-chardev", chardev,
                 "-device", "vhost-user-vsock-pci,id=vsock,chardev=vsock",
                 "-kernel", str(kernel()[0]), "-initrd", str(initramfs()),
                 "-append", "console=ttyS0 quiet agent=/dev/ttyS1"],
                user=self.user,
                pass_fds=[agent_fd, monitor.fileno()])

    def start(self):
        super().start()
        self._qmp = self._monitor.makefile("rwb", buffering=0)
        self._monitor.settimeout(DEADLINE)
        assert "QMP" in json.loads(self._qmp.readline())
        self.monitor("qmp_capabilities")

    def kill(self):
        if self.process is not None:
            super().kill()
            self._monitor.close()

    def monitor(self, command, **arguments):
        """@return what the monitor answers to a QMP command."""
        self._qmp.write(json.dumps({"execute": command, "arguments": arguments}).encode())
        while "event" in (said := json.loads(self._qmp.readline())):
            pass
        return said["return"]

    def wait_for_event(self, name):
        while json.loads(self._qmp.readline()).get("event") != name:
            pass

    def bind_anew(self):
        """Let the guest's driver start its rings once more."""
        self.run(f"cd {DRIVER}; echo virtio0 >unbind; echo virtio0 >bind")

    def plug_anew(self):
        """Take the device out, while the guest runs, and plug in another one."""
        self.monitor("device_del", id="vsock")
        self.wait_for_event("DEVICE_DELETED")
        self.monitor("chardev-remove", id="vsock")
        address = {"type": "unix", "data": {"path": str(self.vm.vhost)}}
        self.monitor("chardev-add", id="vsock", backend={
            "type": "socket", "data": {"server": False, "addr": address}})
        self.monitor("device_add", driver="vhost-user-vsock-pci", id="vsock", chardev="vsock")
        self.run(f"until [ -e {DRIVER}/virtio0 ]; do sleep 0.1; done")


KINDS = {kind.kind: kind for kind in (Uml, Qemu)}
