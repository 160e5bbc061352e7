# SPDX-License-Identifier: BSD-3-Clause
"""A vswd with an API in a folder of its own, and clients of it."""

import http.client
import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

VSWD, VSW, VSW_GUEST = (os.environ[name] for name in ("VSWD", "VSW", "VSW_GUEST"))
WAIT = 60


def wait_for(condition, what="a condition"):
    deadline = time.monotonic() + WAIT
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("vswd", timeout=WAIT)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WAIT)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def error(self):
        return self.json["error"]


class Daemon:
    def __init__(self, *args, config=None, eal=(), env=(), n_files=None):
        self.folder = tempfile.mkdtemp(prefix="vsw-test-")
        self.api = f"{self.folder}/vsw.api"
        self.env = dict(os.environ, RUNTIME_DIRECTORY=self.folder, VSW_API=self.api,
                        VSW_RUN_DIR=self.folder)
        self.env.update(env)
        self.config = f"{self.folder}/vsw.yaml"
        if config is not None:
            self.write_config(config)
            args += ("--config", self.config)
        self.log = f"{self.folder}/log"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [VSWD, *eal, *(("--",) if eal else ()), "--api", self.api, *args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                preexec_fn=n_files and (lambda: resource.setrlimit(
                    resource.RLIMIT_NOFILE, (n_files, n_files))))
        try:
            wait_for(self.is_ready, "vswd to be ready")
        except Exception:
            print(self.read_log())
            self.kill()
            raise

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"vswd has ended: {self.read_log()}")
        return os.path.exists(self.api) and "ready:" in self.read_log()

    def read_log(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def write_config(self, text):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text.replace("$", self.folder))

    def kill(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self):
        """End it, unless that has been done; it must do so in order."""
        if not os.path.exists(self.folder):
            return
        self.process.terminate()
        status = self.process.wait(WAIT)
        log = self.read_log()
        left = os.path.exists(self.api)
        shutil.rmtree(self.folder)
        assert status == 0, f"vswd ended with {status}: {log}"
        assert not left, "the API's socket is still there"

    def ask(self, method, path, body=None, raw=None):
        conn = UnixConnection(self.api)
        try:
            conn.request(method, path, raw if body is None else json.dumps(body))
            return Answer(conn.getresponse())
        finally:
            conn.close()

    def vm(self, cid, **fields):
        """A guest as JSON."""
        return {"guest_cid": cid, "socket": f"{self.folder}/vm{cid}.vhost",
                "uds_path": f"{self.folder}/vm{cid}.vsock", **fields}

    def add(self, cid, **fields):
        answer = self.ask("POST", "/guests", self.vm(cid, **fields))
        assert answer.status == 201, answer.text + self.read_log()
        return answer.json

    def guests(self):
        return self.ask("GET", "/guests").json["guests"]

    def vsw(self, *args, status=0):
        done = subprocess.run([VSW, *args], capture_output=True, timeout=WAIT, env=self.env,
                              text=True, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
        return done

    def serve(self, cid, port=1000, serve="echo"):
        """A guest that runs and serves @p port."""
        process = subprocess.Popen(
            [VSW_GUEST, "listen", f"--guest={self.folder}/vm{cid}.vhost", f"--serve={serve}",
             str(port)], stdin=subprocess.DEVNULL)
        wait_for(lambda: self.ask("GET", f"/guests/{cid}").json["status"]["state"] == "running",
                 "the guest to run")
        return process

    def join(self, path):
        """@return a connection to a socket of vswd that wants no line: a plain one, the API's."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WAIT)
        sock.connect(path)
        return sock

    def dial(self, cid, port=1000):
        """A host's connection to a guest's port. @return socket and the port that OK named."""
        def attempt():
            sock = self.join(f"{self.folder}/vm{cid}.vsock")
            sock.sendall(f"CONNECT {port}\n".encode())
            line = b""
            while not line.endswith(b"\n"):
                byte = sock.recv(1)
                if not byte:
                    sock.close()
                    return None
                line += byte
            return sock, int(line.split()[1])
        return wait_for(attempt, "the guest to accept")


def end(process):
    process.terminate()
    process.wait(WAIT)


class DaemonCase(unittest.TestCase):
    """Each test has a vswd of its own, which outlives the guests that serve() starts."""

    CONFIG, EAL = None, ()

    def setUp(self):
        self.d = Daemon(config=self.CONFIG, eal=self.EAL)
        self.addCleanup(self.d.close)

    def serve(self, cid, **more):
        guest = self.d.serve(cid, **more)
        self.addCleanup(end, guest)
        return guest


class SharedDaemonCase(unittest.TestCase):
    """All tests have one vswd, started with ARGS."""

    ARGS = ()

    @classmethod
    def setUpClass(cls):
        cls.d = Daemon(*cls.ARGS)
        cls.addClassCleanup(cls.d.close)
