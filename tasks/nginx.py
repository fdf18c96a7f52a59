"""nginx: what it runs with, and new upstreams brought live only if nginx takes them."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock, Timeout
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed, State

from lowtide.artifacts import write_text
from lowtide.errors import LockedError, LowtideError, NginxError
from lowtide.placement.nginx import plan_digest, read_plan
from lowtide.placement.plan import Plan
from lowtide.placement.sites import Nginx, Sites

CANDIDATE = ".candidate"
TAKES_S = 10.0  # for nginx to answer with a new plan after a reload
ASKS_S = 0.1


@dataclass(frozen=True)
class Live:
    """What is on disk, and whether nginx runs with it."""

    plan: Plan | None
    running: bool


@contextmanager
def alone(nginx: Nginx) -> Iterator[None]:
    """Raises:
    LockedError: another process balances the same nginx.
    NginxError: the upstreams' folder is not there, or not ours to write in.
    """
    if not nginx.upstreams.parent.is_dir():
        raise NginxError(f"there is no folder {nginx.upstreams.parent}: make it, or mend upstreams")
    lock = FileLock(f"{nginx.upstreams}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(f"another run balances {nginx.upstreams}; wait for it") from None
    except OSError as error:
        raise NginxError(f"cannot write beside {nginx.upstreams}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def live_plan(found: Sites, nginx: Nginx) -> Live:
    """Raises:
    NginxError: the file of upstreams is not lowtide's.
    """
    text = _read(nginx.upstreams)
    if text is None:
        return Live(None, running=False)
    try:
        plan = read_plan(text, found)
    except NginxError as error:
        raise NginxError(f"{nginx.upstreams} {error}") from None
    return Live(plan, running=plan_digest(text) == running_plan(nginx))


@task(name="swap-upstreams", cache_policy=NO_CACHE)
def swap_upstreams(text: str, nginx: Nginx) -> State:
    """Failed, with one line, where nginx does not take them; it then runs as before."""
    try:
        swap(text, nginx)
    except LowtideError as error:
        return Failed(message=str(error))
    return Completed(message=f"nginx runs with plan {plan_digest(text)}")


def swap(text: str, nginx: Nginx) -> None:
    """Write beside the live file, check, rename, reload, and see that nginx runs with it.

    Raises:
        NginxError: nginx refuses it, or does not come to run with it; the old file is back.
    """
    candidate = nginx.upstreams.with_name(nginx.upstreams.name + CANDIDATE)
    write_text(candidate, text)
    try:
        _check(nginx, candidate)
        before = _read(nginx.upstreams)
        candidate.replace(nginx.upstreams)
    finally:
        candidate.unlink(missing_ok=True)
    try:
        _reload(nginx)
        _await(nginx, plan_digest(text))
    except NginxError:
        _restore(nginx, before)
        raise


def running_plan(nginx: Nginx) -> str | None:
    """The digest that nginx answers with; None where it does not answer."""
    try:
        answer = httpx.get(str(nginx.plan_url), timeout=2.0, trust_env=False)
    except httpx.HTTPError:
        return None
    return answer.text.strip() if answer.is_success else None


def _check(nginx: Nginx, candidate: Path) -> None:
    """`nginx -t` of the main configuration with the candidate in the live file's place.

    Its copy lies beside it, since that is where relative includes are looked for.
    """
    include = rf"^([^#\n]*\binclude\s+){re.escape(str(nginx.upstreams))}(?=\s*;)"
    main, num = re.subn(
        include, lambda found: f"{found[1]}{candidate}", _read(nginx.main) or "", flags=re.MULTILINE
    )
    if num == 0:
        raise NginxError(
            f"{nginx.main} does not include {nginx.upstreams}: add `include {nginx.upstreams};` "
            "to its http block"
        )
    copy = nginx.main.with_name(f".{nginx.main.name}{CANDIDATE}")
    try:
        write_text(copy, main)
        _run(nginx, "-t", "-q", "-c", str(copy))
    finally:
        copy.unlink(missing_ok=True)


def _reload(nginx: Nginx) -> None:
    _run(nginx, "-s", "reload", "-c", str(nginx.main))


def _await(nginx: Nginx, digest: str | None) -> None:
    deadline = time.monotonic() + TAKES_S
    while running_plan(nginx) != digest:
        if time.monotonic() > deadline:
            raise NginxError(
                f"{nginx.plan_url} does not answer with plan {digest} {TAKES_S:.0f} s after a "
                "reload: see nginx's error log"
            )
        time.sleep(ASKS_S)


def _restore(nginx: Nginx, before: str | None) -> None:
    """The old file, and nginx with it where it runs."""
    if before is None:
        nginx.upstreams.unlink(missing_ok=True)
        return
    write_text(nginx.upstreams, before)
    with suppress(NginxError):
        _reload(nginx)


def _run(nginx: Nginx, *arguments: str) -> None:
    try:
        done = subprocess.run(
            [nginx.program, *arguments], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NginxError(f"{nginx.program} cannot be run ({error}): install nginx") from None
    if done.returncode != 0:
        said = _complaint(done.stderr) or f"exit code {done.returncode}"
        raise NginxError(f"nginx {' '.join(arguments[:2])} says: {said}")


def _complaint(text: str) -> str | None:
    """The first line that is more than a warning."""
    lines = [line for line in text.strip().splitlines() if "[warn]" not in line]
    return lines[0] if lines else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise NginxError(f"{path} cannot be read: {error}") from None
