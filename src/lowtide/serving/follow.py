"""Follows an alias of the registry: what it points to answers, once it has proved sound."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lowtide.errors import ArtifactError, ModelError, TrackingError
from lowtide.serving.kept import KeptModels
from lowtide.serving.metrics import Metrics
from lowtide.serving.model import ServedModel
from lowtide.serving.registered import Entry, download, look

Open = Callable[[Path, Entry], ServedModel]  # checked and warmed up; ModelError
Put = Callable[[str, ServedModel], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Followed:
    """An alias, and the place that its model is put in."""

    alias: str
    place: str


class Follower:
    """Polls one alias. A model that cannot be served changes nothing but the log and a metric."""

    def __init__(
        self, uri: str, followed: Followed, kept: KeptModels, metrics: Metrics, *, open_model: Open,
        put: Put,
    ) -> None:  # fmt: skip
        self._uri, self._alias, self._place = uri, followed.alias, followed.place
        self._kept, self._metrics, self._open, self._put = kept, metrics, open_model, put
        self._current: Entry | None = None
        self._refused: Entry | None = None
        self._reason = ""

    async def start(self) -> None:
        """Serve the last good model, if one was kept: the registry is asked afterwards."""
        last = self._kept.last(self._alias)
        if last is None:
            return
        try:
            await self._serve(*last)
        except ModelError as error:
            log.warning("the kept model is passed over: %s", error)

    async def keep(self, every_s: float) -> None:
        """Poll until cancelled."""
        while True:
            await self.poll()
            await asyncio.sleep(every_s)

    async def poll(self) -> None:
        try:
            entry = await asyncio.to_thread(look, self._uri, self._alias)
            self._metrics.registry_up.set(1)
            if entry is None:
                self._say(f"nobody is {self._alias} in the registry")
            else:
                await self._follow(entry)
        except TrackingError as error:
            self._metrics.registry_up.set(0)
            self._say(str(error))
        except ArtifactError as error:  # of the disk here, not of the model
            self._say(str(error))

    async def _follow(self, entry: Entry) -> None:
        if entry == self._current:
            self._refused, self._reason = None, ""
        elif entry != self._refused:
            await self._change(entry)

    async def _change(self, entry: Entry) -> None:
        path = self._kept.path(self._alias, entry)
        try:
            await asyncio.to_thread(download, self._uri, entry, path)
            await self._serve(path, entry)
            self._kept.keep(self._alias, entry)
        except ModelError as error:
            self._refused = entry
            self._metrics.refused.labels(self._place).inc()
            log.error("version %s is not served, %s stays: %s", entry.version,
                      self._current.version if self._current else "nothing", error)  # fmt: skip

    async def _serve(self, path: Path, entry: Entry) -> None:
        model = await asyncio.to_thread(self._open, path, entry)
        if entry.sha256 is not None and model.sha256 != entry.sha256:
            raise ModelError(f"{path} is not the file that was registered: its SHA-256 differs")
        self._put(self._place, model)
        self._current, self._reason = entry, ""
        log.info("%s: version %s answers", self._place, entry.version)

    def _say(self, reason: str) -> None:
        """Once for each reason, not at each poll."""
        if reason != self._reason:
            stays = f"version {self._current.version} stays" if self._current else "nothing answers"
            log.warning("%s; %s", reason, stays)
        self._reason = reason
