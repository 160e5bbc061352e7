# SPDX-License-Identifier: BSD-3-Clause
"""Real programs that know Unix sockets and no CONNECT, over plain sockets of vswd (forward): nginx, docker's
client, gRPC. Each is skipped where it is not installed. doc/guides/howto/plain-sockets.md"""

import concurrent.futures
import importlib.util
import json
import os
import shlex
import shutil
import subprocess

import pytest

from framework.lab import Lab
from framework.wait import DEADLINE, until

WEB, DOCKER, GRPC = 80, 2375, 50051
PAGE = os.urandom(1_000_000).hex()
N_AT_ONCE = 32
NGINX = """\
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen unix:{folder}/nginx.sock;
        location / {{ proxy_pass http://unix:{folder}/web.sock; }}
    }}
}}
"""
# What docker ps asks; a connection may carry several requests.
DOCKER_API = """\
import http.server, json, sys
class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_HEAD(self):
        self.answer(b"OK")
    def do_GET(self):
        self.answer(b"OK" if self.path == "/_ping" else json.dumps(CONTAINERS).encode())
    def answer(self, body):
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
class Inetd(Api):
    def setup(self):
        self.rfile, self.wfile = sys.stdin.buffer, sys.stdout.buffer.raw
    def finish(self):
        pass
    def log_message(self, *_):
        pass
CONTAINERS = [{"Id": "c0ffee" * 10, "Names": ["/of-the-guest"], "Image": "busybox", "Command": "sh",
               "Created": 1, "State": "running", "Status": "Up", "Ports": []}]
Inetd(None, ("guest", 0), None)
"""
GRPC_SERVER = """\
import sys
from concurrent import futures
import grpc
class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/echo/one":
            return grpc.unary_unary_rpc_method_handler(lambda request, _: request)
        return grpc.stream_stream_rpc_method_handler(lambda requests, _: requests)
server = grpc.server(futures.ThreadPoolExecutor(4), [Echo()])
server.add_insecure_port("unix:" + sys.argv[1])
server.start()
print("ready", flush=True)
server.wait_for_termination()
"""


@pytest.fixture(scope="module")
def lab():
    with Lab("programs") as a_lab:
        yield a_lab


@pytest.fixture(scope="module")
def guest(lab):
    forward = "+".join(f"{lab.folder}/{name}.sock:{port}" for name, port in
                       (("web", WEB), ("docker", DOCKER), ("grpc", GRPC)))
    switch = lab.switch(3, lcores="0-1", options={3: f",forward={forward}"})
    return lab.guest("uml", switch.vms[3])


def serve(guest, port, *what):
    guest.begin(shlex.join([guest.vsw, "serve", str(port), *map(str, what)])).wait_for_output(
        "is at vsock:")


@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx")
def test_nginx(lab, guest):
    """
    Steps: nginx of the host passes requests on to a plain socket; 32 fetches of 2 MB at once.
    Verify: each gets the guest's page.
    """
    (lab.folder / "page").write_text(PAGE)
    serve(guest, WEB, "--", "busybox", "httpd", "-i", "-h", lab.folder)
    (lab.folder / "nginx.conf").write_text(NGINX.format(folder=lab.folder))
    lab.run("nginx", ["nginx", "-c", lab.folder / "nginx.conf"])
    until((lab.folder / "nginx.sock").exists, "nginx's socket")

    def fetch(_):
        return subprocess.run(
            ["curl", "-sS", "--unix-socket", lab.folder / "nginx.sock", "http://guest/page"],
            stdout=subprocess.PIPE, text=True, timeout=DEADLINE, check=True).stdout

    with concurrent.futures.ThreadPoolExecutor(N_AT_ONCE) as pool:
        assert all(got == PAGE for got in pool.map(fetch, range(N_AT_ONCE)))


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker client")
def test_docker(lab, guest):
    """
    Steps: the guest answers as docker's daemon does; docker ps by a plain socket.
    Verify: it lists the guest's container.
    """
    (lab.folder / "docker_api.py").write_text(DOCKER_API)
    serve(guest, DOCKER, "--", "/usr/bin/python3", lab.folder / "docker_api.py")
    done = subprocess.run(
        ["docker", "-H", f"unix://{lab.folder}/docker.sock", "ps", "--format", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Names"] == "of-the-guest"


@pytest.mark.skipif(importlib.util.find_spec("grpc") is None, reason="no python3-grpcio")
def test_grpc(lab, guest):
    """
    Steps: the guest serves gRPC; a call of 3 MB, and a stream of 300 messages each way.
    Verify: all comes back.
    """
    import grpc
    (lab.folder / "grpc_server.py").write_text(GRPC_SERVER)
    guest.begin(f"/usr/bin/python3 {lab.folder}/grpc_server.py /mnt/grpc").wait_for_output("ready")
    serve(guest, GRPC, "--to=unix:/mnt/grpc")
    with grpc.insecure_channel(f"unix:{lab.folder}/grpc.sock") as channel:
        data = os.urandom(3_000_000)
        assert channel.unary_unary("/echo/one")(data, timeout=DEADLINE) == data
        messages = [os.urandom(10_000) for _ in range(300)]
        echoed = channel.stream_stream("/echo/many")(iter(messages), timeout=DEADLINE)
        assert list(echoed) == messages
