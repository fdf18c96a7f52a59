"""How a question to a carbon API can fail; the chain of sources decides by the type.

CarbonError
└── FetchError
    ├── AwayError      no answer in time, or 408, 425, 429, 5xx to every try
    ├── RefusedError   a request that will not do better when repeated: 400, 401, 403, 422
    ├── NoDataError    the API has nothing to say: 404, 204, an empty list
    └── FormatError    an answer that is not what the API promises

Their texts name host and route, never a header, a query or a token.
"""

from lowtide.errors import CarbonError


class FetchError(CarbonError):
    pass


class AwayError(FetchError):
    """`retry_after_s` is how long the host asked to be left alone, where it said so."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RefusedError(FetchError):
    """`status` is the HTTP status; `said` is the host's own text, shortened and without secrets."""

    def __init__(self, message: str, status: int | None = None, said: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.said = said


class NoDataError(FetchError):
    pass


class FormatError(FetchError):
    pass
