"""The record of one ended request, its kind of failure, and the interface of its observers."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from mypy_extensions import mypyc_attr

from gateway.call import Attempt, Code, Principal, Trace
from gateway.telemetry.masking import PathMasks
from gateway.transcoding.binding import Binding

# With the types of other modules that a record is made of.
__all__ = [
    "Attempt",
    "Binding",
    "Code",
    "CompiledObserver",
    "NamedFields",
    "Observer",
    "ObserverChain",
    "PathMasks",
    "Principal",
    "Record",
    "Trace",
    "chain_of",
    "error_type",
]

# The codes of a back end or gateway that failed, as far as they are no fault of the client.
_FAILURES: Final = frozenset(
    [Code.UNKNOWN, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS]
)


def error_type(status: int, code: Code) -> str:
    """Returns the value of OpenTelemetry's `error.type`; empty if the gateway did not fail."""
    if code is Code.DEADLINE_EXCEEDED:
        return "timeout"
    if code is Code.CANCELLED:
        return "cancelled"
    if status >= 500:
        return str(status)
    # A stream that failed after its head, which had the status 200 or 101.
    return code.name if code in _FAILURES and status < 400 else ""


class NamedFields(Protocol):
    """The header fields of a request."""

    @property
    def by_name(self) -> Mapping[str, str]:
        """The fields by name, in any letter case; made when it is first asked for."""
        ...


@mypyc_attr(acyclic=True, free_list_len=1)
class Record:
    """One ended request, unmasked: an observer must mask it before it shows it.

    All observers receive the same record, so an observer must not change it. `split` has the name
    of the split that chose the upstream, and the upstream; None without one. `attempts` has the
    attempts of its call, the last to end at the end; it is empty if there was one.
    `back_end_failed` is True if a back end failed or did not answer in time, so that a failure is
    not the gateway's. `http_version` is empty if it is not known. `first_byte_s` is the time at
    which the head of a stream was ready, in seconds since 1970; 0 without a stream. `at_s` is the
    time at which the request ended, and `traceparent` the value that the client sent.
    `trace` holds the whole request: an observer that needs it later copies what it needs.
    """

    # A plain class, because a dataclass takes several times as long to create.
    __slots__ = (
        "at_s",
        "attempts",
        "back_end_failed",
        "binding",
        "cache_result",
        "client",
        "code",
        "duration_s",
        "fields",
        "first_byte_s",
        "host",
        "http_version",
        "masks",
        "method",
        "path",
        "peer",
        "principal",
        "query",
        "request_bytes",
        "request_id",
        "response_bytes",
        "split",
        "status",
        "trace",
        "traceparent",
        "user_agent",
    )

    def __init__(  # noqa: PLR0917 - without machine code, names cost more than all the rest
        self,
        at_s: float,
        duration_s: float,
        request_id: str,
        method: str,
        path: str,
        query: str,
        masks: PathMasks,
        binding: Binding | None,
        status: int,
        code: Code,
        request_bytes: int,
        response_bytes: int,
        peer: str,
        client: str,
        host: str,
        user_agent: str,
        traceparent: str,
        principal: Principal | None,
        fields: NamedFields,
        trace: Trace | None = None,
        cache_result: str = "",
        split: tuple[str, str] | None = None,
        attempts: Sequence[Attempt] = (),
        http_version: str = "1.1",
        first_byte_s: float = 0.0,
        back_end_failed: bool = False,  # noqa: FBT001, FBT002 - by position, as the others
    ) -> None:
        self.at_s, self.duration_s = at_s, duration_s
        self.request_id = request_id
        self.method, self.path, self.query = method, path, query
        self.masks = masks  # mask the secret parts of `path`
        self.binding = binding
        """The binding that served the request; None if none did."""
        self.status, self.code = status, code
        self.request_bytes, self.response_bytes = request_bytes, response_bytes
        self.peer = peer  # the address of the other end of the connection
        self.client = client
        """The client's address; differs from `peer` behind trusted proxies."""
        self.host = host  # the value of `Host`
        self.user_agent, self.traceparent = user_agent, traceparent
        self.trace = trace
        """Its place in its trace, which counts before `traceparent`; None without spans."""
        self.cache_result = cache_result  # a word of the code's own; empty without the cache
        self.principal = principal
        self.split, self.attempts = split, attempts
        self.http_version, self.first_byte_s = http_version, first_byte_s
        self.back_end_failed = back_end_failed
        self.fields = fields

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the request, by name."""
        return self.fields.by_name


class Observer(Protocol):
    """Receives the record of every ended request. It must not wait and must not raise."""

    def ended(self, record: Record) -> None:
        """Receives one record."""
        ...


class CompiledObserver:
    """The base of the gateway's own observers: as machine code, each costs a request less.

    One that sets `usual_s` receives no request that ended well within so many seconds, and is not
    recorded in a trace.
    """

    usual_s: float = 0.0

    def ended(self, record: Record) -> None:
        """Receives one record; see `Observer`."""
        raise NotImplementedError


class _AnyObserver(CompiledObserver):
    """Passes records to an observer of any class."""

    def __init__(self, observer: Observer) -> None:
        self._ended = observer.ended

    def ended(self, record: Record) -> None:
        """Passes on one record."""
        self._ended(record)


class ObserverChain:
    """An observer, and the chain of those after it.

    Not a list: machine code checks the type of each item that it takes from one.
    """

    __slots__ = ("following", "observer", "usual_s")

    def __init__(self, observer: CompiledObserver, following: "ObserverChain | None") -> None:
        self.observer = observer
        self.following = following
        self.usual_s = observer.usual_s


def chain_of(observers: Sequence[Observer]) -> ObserverChain | None:
    """Returns the chain of these observers, in their order; None without any."""
    made: ObserverChain | None = None
    for one in reversed(observers):
        made = ObserverChain(one if isinstance(one, CompiledObserver) else _AnyObserver(one), made)
    return made
