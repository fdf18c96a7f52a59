"""Everything lowtide raises on purpose.

LowtideError
├── UsageError            the command was called wrongly                       (exit 2)
│   └── ParamsError       params.yaml: unknown key, wrong type, bad value
├── DataError             images or labels that cannot be used                 (exit 1)
├── CarbonError           no usable intensity for a zone and an instant        (exit 1)
├── MeterError            an energy source that was asked for cannot be read   (exit 1)
├── ModelError            a factory, a weight file or a graph that is unusable (exit 1)
├── ArtifactError         a declared file is missing, broken or unwritable     (exit 1)
├── LockedError           another pipeline works here, or a promotion        (exit 1)
├── PeerError             another process of a distributed training has gone    (exit 1)
├── TrackingError         the tracking server refused a record                 (exit 1)
├── StudyError            the database of a search cannot be used              (exit 1)
├── NginxError            nginx is not there, or refuses a configuration       (exit 1)
├── RequestError          a request to the server that it cannot answer        (HTTP 4xx)
│   ├── NotServedError    a model or version that is not there                 (HTTP 404)
│   ├── NotReadyError     no model is there yet                                (HTTP 503)
│   └── OverloadedError   more of them than it can answer in time              (HTTP 429)
└── RefusalError          lowtide said no on purpose                           (exit 3)
    ├── DeadlineError     the work does not fit before the deadline
    ├── CapacityError     the sites cannot carry the demand by the rules
    └── GateError         the verdict forbids what was asked

A message says what was found, where, and what to do about it, in one line.
"""


class LowtideError(Exception):
    exit_code = 1


class UsageError(LowtideError):
    exit_code = 2


class ParamsError(UsageError):
    pass


class DataError(LowtideError):
    pass


class CarbonError(LowtideError):
    pass


class MeterError(LowtideError):
    pass


class ModelError(LowtideError):
    pass


class ArtifactError(LowtideError):
    pass


class LockedError(LowtideError):
    pass


class PeerError(LowtideError):
    pass


class TrackingError(LowtideError):
    pass


class StudyError(LowtideError):
    pass


class NginxError(LowtideError):
    pass


class RequestError(LowtideError):
    status = 400


class NotServedError(RequestError):
    status = 404


class NotReadyError(RequestError):
    status = 503


class OverloadedError(RequestError):
    status = 429


class RefusalError(LowtideError):
    exit_code = 3


class DeadlineError(RefusalError):
    pass


class CapacityError(RefusalError):
    pass


class GateError(RefusalError):
    pass


def first_line(error: Exception) -> str:
    """Of its message; its type where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
