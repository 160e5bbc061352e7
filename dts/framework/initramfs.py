# SPDX-License-Identifier: BSD-3-Clause
"""The QEMU guests' kernel, Debian's cloud kernel, and an initramfs for it."""

import functools
import pathlib
import re
import shutil
import subprocess
import tempfile

from .paths import GUESTS, LOGS, VSW_STATIC

MODULES = ["virtio_pci", "vmw_vsock_virtio_transport"]


@functools.cache
def kernel():
    """The newest one. @return its file, its release."""
    def version(path):
        return [int(number) for number in re.findall(r"\d+", path.name)]

    images = sorted(pathlib.Path("/boot").glob("vmlinuz-*-cloud-amd64"), key=version)
    assert images, "there is no /boot/vmlinuz-*-cloud-amd64: sh test/install-deps.sh"
    return images[-1], images[-1].name.removeprefix("vmlinuz-")


@functools.cache
def initramfs():
    """Made once a session. @return its file."""
    LOGS.mkdir(parents=True, exist_ok=True)
    made = LOGS / "initramfs.cpio"
    with tempfile.TemporaryDirectory(prefix="vsw-initramfs-") as root:
        _fill(pathlib.Path(root))
        names = subprocess.run(["find", "."], cwd=root, check=True, stdout=subprocess.PIPE).stdout
        with made.open("wb") as archive:
            subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, check=True,
                           input=names, stdout=archive)
    return made


def _fill(root):
    for folder in ["bin", "dev", "mnt", "modules", "proc", "sys", "tmp"]:
        (root / folder).mkdir()
    shutil.copy(shutil.which("busybox"), root / "bin")
    shutil.copy(GUESTS / "qemu-init.sh", root / "init")
    shutil.copy(GUESTS / "agent.sh", root / "agent.sh")
    shutil.copy(VSW_STATIC, root / "bin")
    _add_program(root, shutil.which("socat"))
    _add_modules(root / "modules")


def _add_program(root, program):
    """With its shared libraries and their loader."""
    libraries = subprocess.check_output(["ldd", program], text=True)
    for path in [program, *re.findall(r"(/\S+) \(0x", libraries)]:
        there = root / path.lstrip("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there)


def _add_modules(folder):
    """In the order in which they must be loaded, told by the file `order`."""
    order = []
    for module in MODULES:
        needed = subprocess.check_output(
            ["modprobe", "--show-depends", "-S", kernel()[1], module], text=True)
        for path in re.findall(r"^insmod (\S+)", needed, re.MULTILINE):
            name = pathlib.Path(path).name
            if name not in order:
                order.append(name)
                shutil.copy(path, folder)
    (folder / "order").write_text("".join(name + "\n" for name in order))
