"""The kinds of request that are measured, and the checks of their answers."""

from dataclasses import dataclass, replace
from enum import Enum
from random import Random

from benchmarks.sample import item_of_1_kb
from benchmarks.secured import token

_MEGABYTE = 1_000_000
_STREAMED = 10_000
_FIFTY_TAGS = "".join(f"&tag=t{number}-{{item}}" for number in range(49))
# The sample's int64, which ProtoJSON writes as a string, so that it counts items.
_SERIAL = b'"9007199254740993"'


class Setup(Enum):
    """The setup of a gateway for a scenario; some gateways need one process for each."""

    PLAIN = "plain"
    LINES = "lines"
    EVENTS = "events"
    ARRAY = "array"
    GUARDED = "guarded"
    ALL_GUARDS = "all guards"
    TLS = "TLS"
    GZIP = "gzip"


@dataclass(frozen=True)
class Scenario:
    """One kind of request, and its expected answer."""

    name: str
    target: str
    """The target of the request; `{shelf}` and `{item}` differ in each request, as in the body."""
    body: bytes = b""
    content_type: str = ""
    accept: str = ""
    token: str = ""
    """The bearer token to send."""
    setup: Setup = Setup.PLAIN
    status: int = 200
    items: int = 0
    """The number of items in the answer."""
    answer_bytes: int = 0
    """The least size of the answer."""
    connections: int = 32
    slow: bool = False
    """True if there are so few per second that every one must be counted."""
    units: int = 1
    """The divisor of costs: for a stream, the number of its messages."""
    verb: str = ""
    """The HTTP method, if it is not POST for a request with a body and GET for others."""
    repeats: bool = False
    """True if the same bytes are sent again and again; else no two requests are equal."""

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.verb or ("POST" if self.body else "GET")

    @property
    def scheme(self) -> str:
        """The scheme of its URL."""
        return "https" if self.setup is Setup.TLS else "http"

    @property
    def headers(self) -> dict[str, str]:
        """The headers besides Host and Content-Length."""
        headers = {
            "Content-Type": self.content_type,
            "Accept": self.accept,
            "Authorization": f"Bearer {self.token}" if self.token else "",
        }
        return {name: value for name, value in headers.items() if value}

    def objection(self, status: int, body: bytes) -> str:
        """The reason why an answer is wrong; empty if it is right."""
        if status != self.status:
            return f"answers {status}"
        found = body.count(_SERIAL)
        if found != self.items:
            return f"its answer has {found} items as ProtoJSON, not {self.items}"
        if len(body) < self.answer_bytes:
            return f"its answer has {len(body)} bytes, not {self.answer_bytes}"
        return ""


def _stream(setup: Setup, accept: str) -> Scenario:
    return Scenario(
        f"streamed message, {setup.value}",
        f"/v1/items:watch?count={_STREAMED}",
        accept=accept,
        setup=setup,
        items=_STREAMED,
        connections=2,
        slow=True,
        units=_STREAMED,
    )


def _repeated(scenario: Scenario) -> Scenario:
    return replace(scenario, name=f"{scenario.name}, repeated", repeats=True)


def _upload(name: str, target: str) -> Scenario:
    # As of a compressed file: no byte is rare, and none is frequent.
    body = b"{item}" + Random(1).randbytes(_MEGABYTE - 6)
    return Scenario(name, target, body, "application/octet-stream", connections=8)


def _download(name: str, target: str) -> Scenario:
    return Scenario(name, target, answer_bytes=_MEGABYTE, connections=8)


SMALL_GET = Scenario("small GET", "/v1/shelves/{shelf}/items/{item}", items=1)
POST = Scenario(
    "POST 1 kB", "/v1/shelves/{shelf}/items", item_of_1_kb(), "application/json", items=1
)
PATCH = Scenario(
    "PATCH",
    "/v1/shelves/{shelf}/items/{item}",
    b'{"title": "Item {item}", "size": {"width": 31}}',
    "application/json",
    verb="PATCH",
    items=1,
)
LIST_100 = Scenario("list of 100", "/v1/items?count=100&tag={item}", items=100)
LIST_10_000 = Scenario(
    "list of 10,000", "/v1/items?count=10000&tag={item}", items=10_000, connections=2, slow=True
)
LIST_GZIP = replace(LIST_100, name="list of 100, gzip", setup=Setup.GZIP)
NOT_FOUND = Scenario("404", "/v1/nowhere/{item}", status=404)
WRONG_FIELDS = Scenario(
    "400, two wrong fields", "/v1/items?count={item}x&count=y{shelf}", status=400
)
MISSING = Scenario("404 of the back end", "/v1/shelves/{shelf}/items/missing-{item}", status=404)
REFUSED = Scenario("401 refused", SMALL_GET.target, status=401, setup=Setup.GUARDED)
ALL_GUARDS = replace(SMALL_GET, name="small GET, all guards", setup=Setup.ALL_GUARDS, token=token())
TLS = replace(SMALL_GET, name="small GET, TLS", setup=Setup.TLS)
DOWN = _download("1 MB down", f"/v1/blobs/{_MEGABYTE}")
DOWN_STREAMED = _download("1 MB down, streamed", f"/v1/blobs/{_MEGABYTE}:download")
UP = _upload("1 MB up", "/v1/blobs/{item}")
UP_STREAMED = _upload("1 MB up, streamed", "/v1/blobs:upload")
LINES = _stream(Setup.LINES, "application/x-ndjson")
HEADLINES = (SMALL_GET, POST, LIST_100, LIST_10_000, LINES)
"""The scenarios of the chart."""
SCENARIOS = (
    SMALL_GET,
    _repeated(SMALL_GET),
    replace(SMALL_GET, name="small GET, 1,000 connections", connections=1_000),
    POST,
    _repeated(POST),
    PATCH,
    Scenario("50 query parameters", f"/v1/items?count=1{_FIFTY_TAGS}", items=1),
    LIST_100,
    LIST_GZIP,
    LIST_10_000,
    LINES,
    _stream(Setup.EVENTS, "text/event-stream"),
    _stream(Setup.ARRAY, "application/json"),
    DOWN,
    DOWN_STREAMED,
    UP,
    UP_STREAMED,
    NOT_FOUND,
    WRONG_FIELDS,
    MISSING,
    REFUSED,
    ALL_GUARDS,
    TLS,
)
