# SPDX-License-Identifier: BSD-3-Clause
"""OpenSSH between the host and a guest that has no network: sshd in the guest, one process for each
connection, and what the host's ssh needs to be let in."""

import os
import subprocess

from .paths import VSW
from .wait import DEADLINE

SSHD_CONFIG = """\
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""
SSH_CONFIG = """\
Include {folder}/vsw.conf
Host *
\tUser root
\tIdentityFile {folder}/key
\tIdentitiesOnly yes
\tBatchMode yes
\tUserKnownHostsFile {folder}/known_hosts
\tStrictHostKeyChecking accept-new
"""


class Ssh:
    """Its files are in the lab's folder, which UML's guests see, too."""

    def __init__(self, lab):
        self._folder = lab.folder / "ssh"
        self._folder.mkdir()
        self.config = self._folder / "config"
        # What `vsw ssh-config` prints wants vsw on PATH.
        (self._folder / "vsw").symlink_to(VSW)
        self.env = {**os.environ, "VSW_RUN_DIR": str(lab.folder),
                    "PATH": f"{self._folder}:{os.environ['PATH']}"}
        for key in "host_key", "key":
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                            self._folder / key], check=True)
        (self._folder / "sshd_config").write_text(SSHD_CONFIG.format(folder=self._folder))
        self.config.write_text(SSH_CONFIG.format(folder=self._folder))
        (self._folder / "vsw.conf").write_bytes(
            subprocess.run([VSW, "ssh-config"], check=True, stdout=subprocess.PIPE).stdout)

    def serve(self, guest, port=22):
        """Let the guest's vsw run sshd. @return a Task."""
        guest.run("mkdir -p /run/sshd")
        task = guest.begin(f"{guest.vsw} serve {port} -- "
                           f"/usr/sbin/sshd -i -e -f {self._folder}/sshd_config")
        task.wait_for_output("is at vsock:")
        return task

    def run(self, program, *args, **options):
        """ssh or scp. @return a CompletedProcess, whose output is text."""
        return subprocess.run([program, "-F", self.config, *map(str, args)], env=self.env,
                              timeout=2 * DEADLINE, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
