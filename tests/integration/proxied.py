"""nginx on loopback in front of servers of a model, each a process of its own."""

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import httpx

from tests.integration.served import start
from tests.runtime.files import write_classifier
from tests.servers import answers, free_port, stop, wait_until
from tests.serving.running import NAME, pixels

ROOT = Path(__file__).parent.parent.parent
BODY = json.dumps({"inputs": [pixels()]}).encode()
BY = "x-answered-by"  # a header of the answer: the address of the server that gave it


class Origin:
    """A site: `lowtide serve` of a small model, in a process of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, model = name, write_classifier(folder / f"{name}.onnx")
        self._process, self.address = start(folder, str(model))

    def answers(self) -> bool:
        return answers(f"http://{self.address}/v2/health/ready")

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
            "client_max_body_size 8m;": f"client_max_body_size 8m; add_header {BY} $upstream_addr;",
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
        wait_until(lambda: answers(self.plan_url), 30, "nginx")

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None

    def ask(self, num: int, group: str | None = None) -> Counter[str]:
        """Which addresses answer `num` inferences."""
        return Counter(islice(self.answering(group), num))

    def answering(self, group: str | None = None) -> Iterator[str]:
        """The address that answers, of one inference after the other; a failure is an exception."""
        headers = {} if group is None else {"X-Lowtide-Group": group}
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", headers=headers) as client:
            while True:
                answer = client.post(f"/v2/models/{NAME}/infer", content=BODY, timeout=30)
                assert answer.raise_for_status().json()["outputs"]
                yield answer.headers[BY].split(", ")[-1]


def _user() -> str:
    """Root's nginx would leave the test's folder, which is root's alone."""
    return "user root;" if os.geteuid() == 0 else ""


def _folders(folder: Path) -> list[str]:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return ["access_log off;", *(f"{kind}_temp_path {folder / kind};" for kind in kinds)]
