"""One HTTP host, asked politely: limits, retries, a gap between requests, a circuit breaker."""

import random
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from lowtide.carbon.answer import clip
from lowtide.carbon.breaker import HOLD_MAX_S, Breaker
from lowtide.carbon.failures import AwayError, FormatError, NoDataError, RefusedError
from lowtide.carbon.reply import parse_json, retry_after_s, said
from lowtide.carbon.wall import Wall
from lowtide.errors import CarbonError

if TYPE_CHECKING:
    import httpx

AGAIN = {408, 425, 429, 500, 502, 503, 504}
REDIRECTS = {301, 302, 303, 307, 308}
MAX_REDIRECTS = 3
BACKOFF_MAX_S = 60.0
USER_AGENT = "lowtide (carbon-aware ML pipeline)"
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True)
class Limits:
    """`total_s` bounds one question with all its tries and waits."""

    connect_s: float = 5.0
    read_s: float = 20.0
    total_s: float = 60.0
    max_bytes: int = 5_000_000
    tries: int = 4


LIMITS = Limits()


@dataclass(frozen=True)
class Request:
    """A GET. `headers` and `basic` may hold secrets: neither is ever shown."""

    route: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)

    def secrets(self) -> tuple[str, ...]:
        return (*self.headers.values(), *(self.basic or ()))


class Fetcher:
    """GETs JSON below `base_url`, one request at a time.

    A connection is opened for each question: a few questions an hour gain nothing from one that
    is kept, and so a source has nothing to close.

    `asked_wait_s` reads from the body of a 429 how long to wait, where a host says it in words.

    Raises:
        CarbonError: `base_url` is no http(s) URL, or holds credentials or a query.
    """

    def __init__(
        self,
        base_url: str,
        wall: Wall,
        *,
        limits: Limits = LIMITS,
        min_gap_s: float = 0.0,
        hold_max_s: float = HOLD_MAX_S,
        asked_wait_s: Callable[[str], float | None] = lambda _: None,
        rng: random.Random | None = None,
    ) -> None:
        self._base_url, self.host = _checked(base_url)
        self._wall, self._limits, self._min_gap_s = wall, limits, min_gap_s
        self._breaker = Breaker(self.host, wall, hold_max_s)
        self._asked_wait_s = asked_wait_s
        self._rng = rng or random.Random()
        self._lock = threading.Lock()
        self._last_s: float | None = None

    def get(self, request: Request) -> Any:
        """The parsed JSON of the answer; None for 204.

        Raises:
            AwayError, RefusedError, NoDataError, FormatError: see failures.py.
        """
        with self._lock:
            self._breaker.check()
            started_s = self._wall.monotonic()
            retrying = Retrying(
                retry=retry_if_exception_type(AwayError),
                wait=self._wait_s,
                stop=lambda state: self._give_up(state, started_s),
                sleep=self._wall.sleep,
                reraise=True,
            )
            try:
                content = retrying(self._once, request, started_s)
            except AwayError as error:
                self._breaker.failed(error.retry_after_s)
                raise
            except CarbonError:
                self._breaker.succeeded()  # it answers, if not as hoped
                raise
            self._breaker.succeeded()
            return content

    def _wait_s(self, state: RetryCallState) -> float:
        """Full jitter, so that many jobs do not come back together; never less than asked for."""
        ceiling_s = min(2.0 ** (state.attempt_number - 1), BACKOFF_MAX_S)
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, AwayError) else None
        return max(self._rng.uniform(0.0, ceiling_s), asked_s or 0.0)

    def _give_up(self, state: RetryCallState, started_s: float) -> bool:
        elapsed_s = self._wall.monotonic() - started_s
        late = elapsed_s + state.upcoming_sleep > self._limits.total_s
        return late or state.attempt_number >= self._limits.tries

    def _once(self, request: Request, started_s: float) -> Any:
        import httpx

        self._keep_gap()
        url = f"{self._base_url}/{request.route.lstrip('/')}"
        params: Mapping[str, str] | None = request.params
        try:
            with self._client() as client:
                for _ in range(MAX_REDIRECTS + 1):
                    response, body = self._read(client, url, params, request, started_s)
                    if response.status_code not in REDIRECTS:
                        return self._content(request, response, body)
                    url, params = self._redirected(request, response), None
        except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            # The error's own text can hold a header: its type says enough.
            raise AwayError(
                f"{self.host} does not answer {request.route} ({type(error).__name__})"
            ) from None
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise FormatError(f"{self._where(request)}: {type(error).__name__}") from None
        raise RefusedError(f"{self.host} redirects {request.route} more than {MAX_REDIRECTS} times")

    def _client(self) -> "httpx.Client":
        import httpx

        return httpx.Client(
            timeout=httpx.Timeout(self._limits.read_s, connect=self._limits.connect_s),
            headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
            verify=_certificates(),
            trust_env=urlsplit(self._base_url).hostname not in LOOPBACK,
        )

    def _read(
        self,
        client: "httpx.Client",
        url: str,
        params: Mapping[str, str] | None,
        request: Request,
        started_s: float,
    ) -> tuple["httpx.Response", bytes]:
        body = bytearray()
        with client.stream(
            "GET", url, params=params, headers=request.headers, auth=request.basic
        ) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > self._limits.max_bytes:
                    raise FormatError(
                        f"{self.host} sends more than {self._limits.max_bytes} bytes"
                        f" for {request.route}"
                    )
                if self._wall.monotonic() - started_s > self._limits.total_s:
                    raise AwayError(f"{self.host} is too slow with {request.route}")
        return response, bytes(body)

    def _redirected(self, request: Request, response: "httpx.Response") -> str:
        """The new URL, on the same host only: headers may hold a token."""
        asked = urlsplit(str(response.request.url))
        try:
            target = urljoin(asked.geturl(), str(response.headers.get("Location", "")))
            found = urlsplit(target)
        except ValueError:
            found = urlsplit("")
        if found[:2] != asked[:2]:
            raise RefusedError(
                f"{self.host} redirects {request.route} to {clip(found.hostname or 'nowhere')}: "
                "not followed, set carbon.base_url if that is right",
                response.status_code,
            )
        return target

    def _content(self, request: Request, response: "httpx.Response", body: bytes) -> Any:
        status = response.status_code
        if status == 204:
            return None
        if status < 300:
            return parse_json(body, self._where(request))
        words = said(body, request.secrets())
        reason = f": {words}" if words else ""
        message = f"{self.host} answered {status} to {request.route}{reason}"
        if status in AGAIN:
            asked_s = retry_after_s(response.headers.get("Retry-After"), self._wall.now())
            raise AwayError(message, asked_s if asked_s is not None else self._asked_wait_s(words))
        if status == 404:
            raise NoDataError(message)
        raise RefusedError(message, status, words)

    def _where(self, request: Request) -> str:
        return f"{self.host}/{request.route.lstrip('/')}"

    def _keep_gap(self) -> None:
        if self._last_s is not None:
            left_s = self._last_s + self._min_gap_s - self._wall.monotonic()
            if left_s > 0:
                self._wall.sleep(left_s)
        self._last_s = self._wall.monotonic()


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: a client of its own for each question would read them 30 ms long each time."""
    import httpx

    return httpx.create_ssl_context()


def _checked(base_url: str) -> tuple[str, str]:
    """(the URL without its last slash, host and port to name in messages)."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise CarbonError("carbon.base_url is no http(s) URL, like https://host/path")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise CarbonError(
            f"carbon.base_url of {host} holds credentials or a query: "
            "give tokens by environment variables"
        )
    return base_url.rstrip("/"), f"{host}:{port}" if port else host
