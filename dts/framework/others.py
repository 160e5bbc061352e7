# SPDX-License-Identifier: BSD-3-Clause
"""Programs of others that Debian 12 does not have: what needs them is run where they are."""

import os
import shutil
import subprocess

IPERF3 = shutil.which("iperf3")
# Of systemd 257 or newer. VSW_SYSTEMD_SSH_PROXY names another than the installed one.
INSTALLED_SSH_PROXY = "/usr/lib/systemd/systemd-ssh-proxy"
SYSTEMD_SSH_PROXY = os.environ.get("VSW_SYSTEMD_SSH_PROXY", INSTALLED_SSH_PROXY)


def has_iperf3_with_vsock():
    """https://github.com/stefano-garzarella/iperf-vsock"""
    return IPERF3 is not None and "--vsock" in subprocess.run(
        [IPERF3, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def has_systemd_ssh_proxy():
    return shutil.which(SYSTEMD_SSH_PROXY) is not None
