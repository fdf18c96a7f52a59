"""One HTTP host: what is tried again, what is given up, and what never gets out."""

import logging
import random
import socket
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime

import pytest

from lowtide.carbon.failures import AwayError, FormatError, NoDataError, RefusedError
from lowtide.carbon.fetch import Fetcher, Limits, Request, retry_after_s
from lowtide.carbon.wall import SystemWall
from lowtide.errors import CarbonError
from tests.carbon.fakes import server
from tests.carbon.fakes.server import Fake, Reply, Seen, as_json
from tests.carbon.fakes.wall import FakeWall

SECRET = "s3cr3t-t0ken-77"


class Hello(Fake):
    def answer(self, seen: Seen) -> Reply:
        if seen.path == "/moved":
            return Reply(302, b"", {"Location": "/hello"})
        return as_json({"hello": seen.query.get("name", "world")})


@pytest.fixture
def hello(serve: Callable[[Fake], Fake], wall: FakeWall) -> Fake:
    return serve(Hello(wall, None))  # type: ignore[arg-type]


@pytest.fixture
def fetcher(hello: Fake, wall: FakeWall) -> Fetcher:
    return Fetcher(hello.url, wall, rng=random.Random(0))


def test_a_plain_answer(fetcher: Fetcher, hello: Fake) -> None:
    assert fetcher.get(Request("/hello", {"name": "a b+c"})) == {"hello": "a b+c"}
    assert hello.seen[0].headers["user-agent"].startswith("lowtide")


def test_a_packed_answer_is_unpacked(fetcher: Fetcher, hello: Fake) -> None:
    hello.fault = server.gzipped
    assert fetcher.get(Request("/hello")) == {"hello": "world"}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(fetcher: Fetcher, hello: Fake, status: int) -> None:
    hello.faults.extend([server.broken(status)] * 3)
    assert fetcher.get(Request("/hello")) == {"hello": "world"}
    assert hello.count() == 4


def test_waits_grow_and_are_jittered(fetcher: Fetcher, hello: Fake, wall: FakeWall) -> None:
    hello.fault = server.broken(503)
    with pytest.raises(AwayError, match=r"answered 503 to /hello"):
        fetcher.get(Request("/hello"))
    assert hello.count() == 4
    assert all(0 <= s <= top for s, top in zip(wall.slept_s, (1, 2, 4), strict=True))
    assert len(set(wall.slept_s)) == 3


def test_a_reset_within_the_body_is_tried_again(fetcher: Fetcher, hello: Fake) -> None:
    hello.faults.append(server.reset)
    assert fetcher.get(Request("/hello")) == {"hello": "world"}
    assert hello.count() == 2


@pytest.mark.parametrize("status", [400, 401, 403, 422, 501])
def test_a_refusal_is_asked_once(fetcher: Fetcher, hello: Fake, status: int) -> None:
    hello.fault = server.broken(status, '{"error": {"message": "because"}}')
    with pytest.raises(RefusedError, match=f"answered {status} to /hello: because") as caught:
        fetcher.get(Request("/hello"))
    assert (caught.value.status, hello.count()) == (status, 1)


def test_nothing_there_is_its_own_error(fetcher: Fetcher, hello: Fake) -> None:
    hello.fault = server.broken(404, "not here")
    with pytest.raises(NoDataError, match="404 to /hello: not here"):
        fetcher.get(Request("/hello"))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (server.html, "expected JSON, found <html>"),
        (server.empty, "expected JSON, found nothing"),
        (server.cut_json, "expected JSON"),
        (server.bad_gzip, "DecodingError"),
        (server.huge, "more than 5000000 bytes"),
        (lambda _: Reply(200, b"[" * 100_000), "expected JSON"),
    ],
)
def test_what_is_no_json_is_an_error_and_not_repeated(
    fetcher: Fetcher, hello: Fake, fault: server.Fault, message: str
) -> None:
    hello.fault = fault
    with pytest.raises(FormatError, match=message):
        fetcher.get(Request("/hello"))
    assert hello.count() == 1


def test_retry_after_in_seconds_is_honoured(fetcher: Fetcher, hello: Fake, wall: FakeWall) -> None:
    hello.faults.append(server.broken(429, Retry_After="17"))
    fetcher.get(Request("/hello"))
    assert wall.slept_s == [17.0]


def test_retry_after_as_a_date_is_honoured(fetcher: Fetcher, hello: Fake, wall: FakeWall) -> None:
    date = format_datetime(wall.now() + timedelta(seconds=20), usegmt=True)
    hello.faults.append(server.broken(503, Retry_After=date))
    fetcher.get(Request("/hello"))
    assert wall.slept_s == [20.0]


@pytest.mark.parametrize("text", ["soon", "-5", "", "nan", "1e9"])
def test_a_senseless_retry_after_is_none(text: str, wall: FakeWall) -> None:
    assert retry_after_s(text, wall.now()) is None


def test_a_long_retry_after_gives_up_at_once_and_holds(
    fetcher: Fetcher, hello: Fake, wall: FakeWall
) -> None:
    hello.faults.append(server.broken(429, Retry_After="300"))
    with pytest.raises(AwayError):
        fetcher.get(Request("/hello"))
    with pytest.raises(AwayError, match="left alone for 300 s"):
        fetcher.get(Request("/hello"))
    assert (wall.slept_s, hello.count()) == ([], 1)
    wall.forward(timedelta(seconds=301))
    assert fetcher.get(Request("/hello")) == {"hello": "world"}


def test_a_very_long_retry_after_is_capped(fetcher: Fetcher, hello: Fake, wall: FakeWall) -> None:
    hello.faults.append(server.broken(429, Retry_After="9999999"))
    with pytest.raises(AwayError):
        fetcher.get(Request("/hello"))
    wall.forward(timedelta(minutes=16))
    assert fetcher.get(Request("/hello")) == {"hello": "world"}


def test_the_breaker_opens_after_three_failures_and_lets_one_try(
    fetcher: Fetcher, hello: Fake, wall: FakeWall
) -> None:
    hello.fault = server.broken(500)
    for _ in range(5):
        with pytest.raises(AwayError):
            fetcher.get(Request("/hello"))
    assert hello.count() == 3 * 4
    wall.forward(timedelta(minutes=11))
    with pytest.raises(AwayError):
        fetcher.get(Request("/hello"))
    assert hello.count() == 4 * 4
    with pytest.raises(AwayError, match="left alone"):
        fetcher.get(Request("/hello"))
    assert hello.count() == 4 * 4
    wall.forward(timedelta(minutes=11))
    hello.fault = None
    assert fetcher.get(Request("/hello")) == {"hello": "world"}


def test_refusals_do_not_open_the_breaker(fetcher: Fetcher, hello: Fake) -> None:
    hello.fault = server.broken(403)
    for _ in range(6):
        with pytest.raises(RefusedError):
            fetcher.get(Request("/hello"))
    assert hello.count() == 6


def test_requests_keep_their_distance(hello: Fake, wall: FakeWall) -> None:
    fetcher = Fetcher(hello.url, wall, min_gap_s=8.0)
    fetcher.get(Request("/hello"))
    wall.forward(timedelta(seconds=3))
    fetcher.get(Request("/hello"))
    assert wall.slept_s == [5.0]


def test_a_body_that_stalls_is_away(hello: Fake) -> None:
    hello.fault = server.stalled(0.4)
    limits = Limits(read_s=0.05, total_s=5.0, tries=2)
    fetcher = Fetcher(hello.url, FakeWall(SystemWall().now()), limits=limits)
    with pytest.raises(AwayError, match="ReadTimeout"):
        fetcher.get(Request("/hello"))
    assert hello.count() == 2


def test_a_slow_answer_ends_at_the_total_deadline(hello: Fake) -> None:
    hello.fault = server.stalled(0.3)
    limits = Limits(read_s=5.0, total_s=0.1, tries=3)
    fetcher = Fetcher(hello.url, SystemWall(), limits=limits)
    with pytest.raises(AwayError, match="too slow"):
        fetcher.get(Request("/hello"))
    assert hello.count() == 1


def test_a_host_that_is_not_there_is_away(wall: FakeWall) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(AwayError, match="ConnectError"):
            Fetcher(url, wall).get(Request("/hello"))


def test_a_redirect_on_the_same_host_is_followed_with_the_token(
    fetcher: Fetcher, hello: Fake
) -> None:
    got = fetcher.get(Request("/moved", headers={"auth-token": SECRET}))
    assert got == {"hello": "world"}
    assert hello.seen[1].headers["auth-token"] == SECRET


def test_a_redirect_to_another_host_is_not_followed(
    fetcher: Fetcher, hello: Fake, serve: Callable[[Fake], Fake], wall: FakeWall
) -> None:
    thief = serve(Hello(wall, None))  # type: ignore[arg-type]
    hello.fault = server.redirect(f"{thief.url}/hello")
    with pytest.raises(RefusedError, match="not followed"):
        fetcher.get(Request("/hello", headers={"auth-token": SECRET}))
    assert (hello.count(), thief.count()) == (1, 0)


@pytest.mark.parametrize("location", ["http://[", "", "//", "https://127.0.0.1/hello", "file:///x"])
def test_a_redirect_to_nowhere_is_refused_or_ends(
    fetcher: Fetcher, hello: Fake, location: str
) -> None:
    hello.fault = server.redirect(location)
    with pytest.raises(RefusedError):
        fetcher.get(Request("/hello"))


def test_a_ring_of_redirects_ends(fetcher: Fetcher, hello: Fake) -> None:
    hello.fault = server.redirect("/moved")
    with pytest.raises(RefusedError, match="more than 3 times"):
        fetcher.get(Request("/moved"))


@pytest.mark.parametrize(
    "fault",
    [
        server.broken(401, f'{{"error": "bad token {SECRET}"}}'),
        server.broken(503, f"no such user {SECRET}"),
        server.reset,
        server.html,
    ],
)
def test_no_secret_in_errors_and_logs(
    fetcher: Fetcher, hello: Fake, fault: server.Fault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hello.fault = fault
    request = Request("/hello", {}, {"Authorization": f"Bearer {SECRET}"}, ("user", SECRET))
    with pytest.raises(CarbonError) as caught:
        fetcher.get(request)
    assert SECRET not in str(caught.value) + repr(request) + caplog.text
    assert "\n" not in str(caught.value)


def test_a_token_that_is_no_header_is_not_shown(fetcher: Fetcher) -> None:
    with pytest.raises(CarbonError) as caught:
        fetcher.get(Request("/hello", headers={"auth-token": f"{SECRET}\n"}))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://host", "host", "http://", "http://[", ""])
def test_a_base_url_has_to_be_one(url: str, wall: FakeWall) -> None:
    with pytest.raises(CarbonError, match="no http"):
        Fetcher(url, wall)


@pytest.mark.parametrize("url", [f"http://u:{SECRET}@host", f"http://host/?key={SECRET}"])
def test_a_base_url_holds_no_credentials(url: str, wall: FakeWall) -> None:
    with pytest.raises(CarbonError, match="credentials or a query") as caught:
        Fetcher(url, wall)
    assert SECRET not in str(caught.value)
