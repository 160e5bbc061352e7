#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Notify as sd_notify() of systemd does over vsock-stream: from a port below 1024 that is the same every time, send,
shut down, wait for the end. "MESSAGE0" is the first, "MESSAGE1" the second, ...

usage: notify.py CID PORT MESSAGE N
"""

import socket
import sys

SOURCE_PORT = 1023

cid, port, message, n = sys.argv[1:]
for i in range(int(n)):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as sock:
        sock.settimeout(60)
        sock.bind((socket.VMADDR_CID_ANY, SOURCE_PORT))
        sock.connect((int(cid), int(port)))
        sock.sendall(f"{message}{i}".encode())
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
print("notified")
