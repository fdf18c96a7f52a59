"""One process that serves: what runs beside the requests, and how it ends."""

import asyncio
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from lowtide.carbon.signal import IntensitySource
from lowtide.clock import Clock
from lowtide.errors import UsageError
from lowtide.serving.account import EnergyAccount
from lowtide.serving.app import create_app
from lowtide.serving.batcher import BatchLimits
from lowtide.serving.connections import impatient
from lowtide.serving.follow import Followed, Follower
from lowtide.serving.kept import KeptModels
from lowtide.serving.lasting import lasting
from lowtide.serving.limits import Guard, Limits
from lowtide.serving.metrics import Metrics, Observed
from lowtide.serving.model import Figures, ServedModel
from lowtide.serving.present import PresentIntensity
from lowtide.serving.registered import Entry
from lowtide.serving.service import Service, Variants
from lowtide.serving.tiers import CHAMPION, Tiers

log = logging.getLogger(__name__)
BACKLOG = 2048  # connections that wait to be accepted
IDLE_S = 75  # longer than the 60 s of nginx: who closes first does not fail a request under way


@dataclass(frozen=True)
class Origin:
    """Where models come from: a file, or else a registry that is polled."""

    path: Path | None
    uri: str
    poll_s: float
    kept_in: Path


@dataclass(frozen=True)
class Grid:
    """`source` None: grams are unknown."""

    source: IntensitySource | None
    clock: Clock
    pue: float


@dataclass(frozen=True)
class Settings:
    name: str
    host: str
    port: int
    num_threads: int
    batch: BatchLimits
    limits: Limits
    origin: Origin
    grid: Grid
    tiers: Tiers
    drain_s: int  # for requests in flight at the end
    key: str | None = field(repr=False)


class Running:
    """The service and what runs beside it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        metrics = Metrics()
        grid, tiers = settings.grid, settings.tiers
        intensity = PresentIntensity(grid.source, grid.clock, metrics, grid.pue)
        account = EnergyAccount(metrics, intensity)
        variants = Variants(tiers.carbon_tiers, tiers.accuracy_drop_max)
        self.service = Service(settings.name, settings.batch, metrics, intensity, account, variants)
        self.followers = [self._follower(one) for one in self._followed()]

    def open_files(self) -> None:
        """Models that were named as files: ModelError before anything listens."""
        tiers = self._settings.tiers
        if self._settings.origin.path is not None:
            figures = Figures(accuracy=tiers.champion_accuracy)
            self.service.put(CHAMPION, self._open(self._settings.origin.path, None, figures))
        for tier in tiers.carbon_tiers:
            if tier.model is not None:
                model = self._open(tier.model, None, Figures(accuracy=tier.accuracy))
                self.service.put(tier.name, model)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        for follower in self.followers:
            await follower.start()
        every_s = self._settings.origin.poll_s
        tasks = [
            asyncio.create_task(each)
            for each in (
                lasting("the grid's intensity", self.service.intensity.keep),
                lasting("the reading of joules", self.service.account.keep),
                *(lasting("following", partial(one.keep, every_s)) for one in self.followers),
            )
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.service.close()

    def _followed(self) -> list[Followed]:
        champion = [] if self._settings.origin.path else [Followed(CHAMPION, CHAMPION)]
        tiers = self._settings.tiers.carbon_tiers
        return champion + [Followed(t.alias, t.name) for t in tiers if t.alias is not None]

    def _follower(self, followed: Followed) -> Follower:
        def open_model(path: Path, entry: Entry) -> ServedModel:
            return self._open(path, entry.version, entry.figures)

        origin = self._settings.origin
        return Follower(
            origin.uri, followed, KeptModels(origin.kept_in), self.service.metrics,
            open_model=open_model, put=self.service.put,
        )  # fmt: skip

    def _open(self, path: Path, version: str | None, figures: Figures) -> ServedModel:
        return ServedModel.open(
            path, name=self._settings.name, version=version, figures=figures,
            num_threads=self._settings.num_threads,
            warm_up_images=self._settings.batch.num_images,
        )  # fmt: skip


def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT: then nothing new is accepted, and what is in flight is answered.

    Raises:
        ModelError: a file that was named cannot be served.
        UsageError: the address cannot be listened on.
    """
    running = Running(settings)
    running.open_files()
    _allow_connections()
    server = uvicorn.Server(configured(settings, asgi(running, settings)))
    with listening(settings.host, settings.port) as listener:
        log.info("listening on http://%s:%d", *listener.getsockname()[:2])
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)  # uvicorn raises it again when it has ended
        server.run(sockets=[listener])
    if not server.started:
        raise UsageError("the server could not start: see the lines above")


def asgi(running: Running, settings: Settings) -> Any:
    app = create_app(running.service, settings.limits, running.lifespan)
    guarded = Guard(app, settings.limits, settings.key)
    return Observed(guarded, running.service.metrics)


def configured(settings: Settings, app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app, http=impatient(settings.limits.header_s), ws="none", lifespan="on",
        log_level="warning", access_log=False, server_header=False, backlog=BACKLOG,
        timeout_keep_alive=IDLE_S, timeout_graceful_shutdown=settings.drain_s,
    )  # fmt: skip


def listening(host: str, port: int) -> socket.socket:
    """Connections inherit that small writes go out at once: asyncio asks for it only where a socket
    names its protocol, and an answer's body would wait 40 ms for its head to be acknowledged."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose --port"
        ) from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _allow_connections() -> None:
    """As many files as the system lets this process have: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="lowtide: %(levelname)s: %(message)s"
    )
    logging.getLogger("lowtide").setLevel(logging.INFO)
