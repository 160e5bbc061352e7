#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What the guest of dts/demo.sh does: a shell service for the host on port 9000, a sink on
# port 9001, and whatever it is asked for through the shell.
socat -t 300 VSOCK-LISTEN:9000,fork,backlog=64,reuseaddr EXEC:bash,stderr &
socat -u -b 65536 VSOCK-LISTEN:9001,fork,reuseaddr OPEN:/dev/null &
wait
