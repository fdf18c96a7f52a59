"""WattTime's login: user and password buy a token for half an hour."""

from dataclasses import replace

from lowtide.carbon.answer import field
from lowtide.carbon.failures import FormatError, RefusedError
from lowtide.carbon.fetch import Fetcher, Request
from lowtide.carbon.wall import Wall

RENEW_S = 25 * 60.0  # before it ends after 30 minutes


class WattTimeLogin:
    def __init__(self, fetcher: Fetcher, user: str, password: str, wall: Wall) -> None:
        self._fetcher, self._wall = fetcher, wall
        self._basic = (user, password)
        self._token: str | None = None
        self._renew_at_s = 0.0

    def signed(self, request: Request) -> Request:
        """The request with a token that is good for five minutes at least.

        Raises:
            RefusedError: user or password are wrong.
        """
        if self._token is None or self._wall.monotonic() >= self._renew_at_s:
            self._token = self._new_token()
            self._renew_at_s = self._wall.monotonic() + RENEW_S
        return replace(request, headers={"Authorization": f"Bearer {self._token}"})

    def forget(self) -> None:
        self._token = None

    def _new_token(self) -> str:
        try:
            content = self._fetcher.get(Request("/login", basic=self._basic))
        except RefusedError as error:
            if error.status not in (401, 403):
                raise
            raise RefusedError(
                f"{self._fetcher.host} refuses the login ({error.status}): "
                "check WATTTIME_USER and WATTTIME_PASSWORD", error.status, error.said,
            ) from None  # fmt: skip
        token = field(content, "token", f"{self._fetcher.host}/login")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise FormatError(f"{self._fetcher.host}/login: the token is no printable text")
        return token
