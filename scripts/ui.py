"""`make ui`: Prefect server, worker with the deployments applied, and MLflow, on loopback."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
PREFECT = os.environ.get("LOWTIDE_PREFECT_PORT", "4200")
MLFLOW = os.environ.get("LOWTIDE_MLFLOW_PORT", "5000")
PREFECT_URL = f"http://127.0.0.1:{PREFECT}"
MLFLOW_URL = f"http://127.0.0.1:{MLFLOW}"
START_S = 90.0

ENVIRONMENT = {
    **os.environ,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    "PREFECT_API_URL": f"{PREFECT_URL}/api",
    "PREFECT_HOME": os.environ.get("PREFECT_HOME", str(ROOT / ".prefect")),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_TRACKING_URI": MLFLOW_URL,
    "LOWTIDE_MLFLOW_UI": MLFLOW_URL,
    "MLFLOW_PORT": MLFLOW,
}


def start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, start_new_session=True)


def run(*command: str) -> None:
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(
                f"lowtide: the server of {url} stopped; is its port taken? LOWTIDE_PREFECT_PORT "
                "and LOWTIDE_MLFLOW_PORT name others"
            )
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise SystemExit(f"lowtide: {url} did not answer within {START_S:.0f} s")


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    processes: list[subprocess.Popen[bytes]] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        processes.append(start("prefect", "server", "start", "--port", PREFECT))
        wait_for(f"{PREFECT_URL}/api/health", processes[-1])
        processes.append(start("bash", "mlflow/serve.sh", "mlflow/sqlite.env"))
        wait_for(f"{MLFLOW_URL}/health", processes[-1])
        run("bash", "scripts/apply_deployments.sh")
        processes.append(start("prefect", "worker", "start", "--pool", "local", "--limit", "1"))
        print(f"\nPrefect {PREFECT_URL}   MLflow {MLFLOW_URL}   Ctrl-C stops all", flush=True)
        processes[-1].wait()
    except KeyboardInterrupt:
        print("\nstopping")
    finally:
        stop(processes)


if __name__ == "__main__":
    main()
