# SPDX-License-Identifier: BSD-3-Clause
"""The switches under test: how each is obtained, started and stopped."""

import dataclasses
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PEER = "vhost-device-vsock"
# Debian 12 has an older C library than testing, so the peer comes with its own.
PEER_PACKAGES = [PEER, "libc6", "libgcc-s1"]
WINDOW = 262144
MANY_CONNECTIONS = 16384


class Unavailable(Exception):
    """A switch that cannot be had here; the message says why."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where and how a process runs. apply() is for a child, before its exec.

    Not SCHED_FIFO: a lcore that polls would keep vswd's other threads from that cpu."""

    cpus: tuple
    nice: int

    def apply(self):
        os.sched_setaffinity(0, self.cpus)
        try:
            os.setpriority(os.PRIO_PROCESS, 0, self.nice)
        except PermissionError:
            pass


class Switch:
    """A program that serves guests; start() gives it a fresh folder for its sockets."""

    name = ""
    is_one_thread = False

    def __init__(self, place):
        self.place = place
        self.process = self.folder = None

    def command(self, row):
        raise NotImplementedError

    def turns(self):
        raise Unavailable(f"{self.name} does not poll")

    def vms(self):
        return [f"guest-cid={cid},socket={self.folder}/vm{cid}.vhost,"
                f"uds-path={self.folder}/vm{cid}.vsock" for cid in self.cids]

    def start(self, row):
        """row: rows.Row, for what it says of the switch."""
        self.cids = range(3, 3 + row.n_guests + row.n_beside)
        self.folder = tempfile.mkdtemp(prefix="vsw-perf-")
        self.log = open(f"{self.folder}/log", "w+", encoding="utf-8", errors="replace")

        env = dict(os.environ, XDG_RUNTIME_DIR=self.folder)
        self.process = subprocess.Popen(self.command(row), stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL,
                                        preexec_fn=self.place.apply, env=env)
        self.await_sockets()

    def await_sockets(self):
        # Not a connection: a vhost-user socket would take it for a VMM.
        wanted = [f"{self.folder}/vm{cid}.vhost" for cid in self.cids]
        deadline = time.monotonic() + 30
        while not all(os.path.exists(path) for path in wanted):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                text = self.log.read()[-2000:]
                self.stop()
                raise Unavailable(f"{self.name} does not start: {text}")
            time.sleep(0.01)
        time.sleep(0.1)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Vswd(Switch):
    """One lcore that does everything, polling unless the row is about idleness."""

    is_one_thread = True

    def __init__(self, name, path, place):
        super().__init__(place)
        self.name, self.path = name, path

    def command(self, row):
        args = [self.path, "-l", str(self.place.cpus[0]), "--", f"--idle={row.idle}"]
        if row.counts_turns:
            args.append(f"--api={self.api()}")
        more = ""
        if row.many_connections:
            # Half of the descriptors are kept for guests that may come.
            args.append(f"--max-guests={len(self.cids)}")
            more = f",limit-connections={MANY_CONNECTIONS}"
        for vm in self.vms():
            args += ["--vm", vm + more]
        return args

    def api(self):
        return f"{self.folder}/api"

    def turns(self):
        """@return how often its loop has turned."""
        connection = http.client.HTTPConnection("vswd", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(self.api())
            connection.request("GET", "/lcores")
            return json.load(connection.getresponse())["lcores"][0]["turns"]
        except (OSError, ValueError, KeyError) as error:
            raise Unavailable(f"{self.name} does not tell its turns: {error}") from error
        finally:
            connection.close()


class Peer(Switch):
    """Debian's vhost-device-vsock, with the window that vswd has by default."""

    name = PEER

    def __init__(self, command, place):
        super().__init__(place)
        self.prefix = command

    def command(self, row):
        args = list(self.prefix)
        for vm in self.vms():
            args += ["--vm", f"{vm},tx-buffer-size={WINDOW}"]
        return args


def run_quietly(args, **kwargs):
    done = subprocess.run(args, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, args[:3]))}...: {done.stderr.strip()[-300:]}")
    return done.stdout


def apt_options(cache):
    """A private apt: Debian testing, without a trace in the system's own."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (cache / folder).mkdir(parents=True, exist_ok=True)
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (cache / "sources.list").write_text(
        f"deb [signed-by={keys}] http://deb.debian.org/debian testing main\n")
    return ["-o", f"Dir::Etc::SourceList={cache}/sources.list", "-o", "Dir::Etc::SourceParts=-",
            "-o", f"Dir::State={cache}/state", "-o", f"Dir::Cache={cache}/cache",
            "-o", "APT::Sandbox::User=root"]


def fetch_peer(cache):
    """Download and unpack the peer into @p cache. @return the command that runs it."""
    root = cache / "root"
    binary = root / "usr/bin" / PEER
    lib = root / "usr/lib/x86_64-linux-gnu"
    if not binary.exists():
        apt = apt_options(cache)
        run_quietly(["apt-get", *apt, "update"])
        run_quietly(["apt-get", *apt, "download", *PEER_PACKAGES], cwd=cache)
        for deb in sorted(cache.glob("*.deb")):
            run_quietly(["dpkg-deb", "-x", str(deb), str(root)])
    command = [str(lib / "ld-linux-x86-64.so.2"), "--library-path", str(lib), str(binary)]
    return command, run_quietly([*command, "--version"]).strip()


def find_peer(path, cache):
    """@return (command, version) of the peer: @p path if given, else Debian's."""
    if path:
        return [path], run_quietly([path, "--version"]).strip()
    try:
        return fetch_peer(pathlib.Path(cache))
    except OSError as error:
        raise Unavailable(str(error)) from error
