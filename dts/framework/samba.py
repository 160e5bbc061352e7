# SPDX-License-Identifier: BSD-3-Clause
"""Samba, as a server at [::1]:445, with a share that everybody may write to."""

CONFIG = """\
[global]
server role = standalone server
map to guest = Bad User
guest account = root
smb ports = 445
interfaces = ::1/128
bind interfaces only = yes
lock directory = {folder}
state directory = {folder}
cache directory = {folder}
private dir = {folder}
pid directory = {folder}
ncalrpc dir = {folder}/ncalrpc
log file = {folder}/log
load printers = no
disable spoolss = yes
[share]
path = {share}
guest ok = yes
read only = no
"""


def smbd(config_path, folder, share):
    """Write its configuration; folder and share are where it runs. @return its command line."""
    config_path.write_text(CONFIG.format(folder=folder, share=share))
    return ["/usr/sbin/smbd", "--foreground", "--no-process-group", "--debug-stdout",
            f"--configfile={config_path}"]


def smbclient(address, commands):
    """Without /etc/samba, which may not be there. @return its command line."""
    return ["smbclient", "--no-pass", "--configfile=/dev/null", f"//{address}/share",
            "--command", commands]
