"""nginx on loopback in front of small servers, each a process of its own that says its name."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx

from tests.integration.conftest import free_port, stop, wait_until

ROOT = Path(__file__).parent.parent.parent
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Named(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(sys.argv[2])))
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())

    def log_message(self, *arguments):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Named).serve_forever()
"""


class Origin:
    """A site's server."""

    def __init__(self, name: str) -> None:
        self.name, self.port = name, free_port()
        self._process = subprocess.Popen([sys.executable, "-c", SERVER, str(self.port), name])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answers(self) -> bool:
        try:
            return httpx.post(f"http://{self.address}/", content=b"x", timeout=2).text == self.name
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process.poll() is None:
            stop(self._process)


class Proxy:
    """nginx with the configuration that is shipped, its paths and ports changed."""

    def __init__(self, folder: Path, upstreams: Path) -> None:
        self.main, self.upstreams = folder / "nginx.conf", upstreams
        self._port, self._plan_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        text = (ROOT / "deploy/nginx/nginx.conf").read_text()
        for shipped, own in {
            "/etc/nginx/lowtide/upstreams.conf": str(upstreams),
            "/run/nginx.pid": str(folder / "nginx.pid"),
            "/var/log/nginx/error.log": str(folder / "error.log"),
            "listen 80;": f"listen 127.0.0.1:{self._port};",
            "127.0.0.1:8081": f"127.0.0.1:{self._plan_port}",
            "west lowtide-west;": "users lowtide-users;",
            "worker_processes auto;": f"worker_processes 2;\n{_user()}",
            "access_log off;": "\n".join(_folders(folder)),
        }.items():
            assert shipped in text, shipped
            text = text.replace(shipped, own)
        self.main.write_text(text)

    @property
    def plan_url(self) -> str:
        return f"http://127.0.0.1:{self._plan_port}/lowtide-plan"

    @property
    def plan(self) -> str:
        return httpx.get(self.plan_url).text

    def start(self) -> None:
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None
        command = [program, "-c", str(self.main), "-g", "daemon off;"]
        self._process = subprocess.Popen(command)
        wait_until(self._answers, 30, "nginx")

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None

    def ask(self, num: int, group: str | None = None) -> Counter[str]:
        """Who answers `num` requests; a failure of one is an exception."""
        headers = {} if group is None else {"X-Lowtide-Group": group}
        served: Counter[str] = Counter()
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", headers=headers) as client:
            for _ in range(num):
                answer = client.post("/v2/models/m/infer", content=b"{}", timeout=30)
                served[answer.raise_for_status().text] += 1
        return served

    def _answers(self) -> bool:
        try:
            return httpx.get(self.plan_url, timeout=2).is_success
        except httpx.HTTPError:
            return False


def _user() -> str:
    """Root's nginx would leave the test's folder, which is root's alone."""
    return "user root;" if os.geteuid() == 0 else ""


def _folders(folder: Path) -> list[str]:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return ["access_log off;", *(f"{kind}_temp_path {folder / kind};" for kind in kinds)]
