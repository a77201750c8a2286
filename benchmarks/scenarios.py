"""The kinds of request that are measured, and what a right answer to each is."""

from dataclasses import dataclass
from enum import Enum

from benchmarks.sample import item_of_1_kb

_MEGABYTE = 1_000_000
_STREAMED = 10_000
# The sample's int64, which ProtoJSON writes as a string: no other member looks like it.
_SERIAL = b'"9007199254740993"'


class Setup(Enum):
    """What a gateway is set up for; some do two things only in two processes."""

    PLAIN = "plain"
    LINES = "lines"
    EVENTS = "events"
    ARRAY = "array"
    GUARDED = "guarded"


@dataclass(frozen=True)
class Scenario:
    """One kind of request, and the answer that is right."""

    name: str
    target: str
    body: bytes = b""
    content_type: str = ""
    accept: str = ""
    token: str = ""
    """A bearer token to show."""
    setup: Setup = Setup.PLAIN
    status: int = 200
    items: int = 0
    """How many items the answer has."""
    answer_bytes: int = 0
    """How long it is at the least."""
    connections: int = 32
    slow: bool = False
    """Whether a second sees so few that none may be lost from the count."""
    units: int = 1
    """What costs are told by: of a stream, one of its messages."""

    @property
    def method(self) -> str:
        """POST where there is a body."""
        return "POST" if self.body else "GET"

    @property
    def headers(self) -> dict[str, str]:
        """What is sent beside Host and Content-Length."""
        headers = {
            "Content-Type": self.content_type,
            "Accept": self.accept,
            "Authorization": f"Bearer {self.token}" if self.token else "",
        }
        return {name: value for name, value in headers.items() if value}

    def objection(self, status: int, body: bytes) -> str:
        """What is wrong with an answer; empty if nothing is."""
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


def _upload(name: str, target: str) -> Scenario:
    return Scenario(name, target, bytes(_MEGABYTE), "application/octet-stream", connections=8)


def _download(name: str, target: str) -> Scenario:
    return Scenario(name, target, answer_bytes=_MEGABYTE, connections=8)


SMALL_GET = Scenario("small GET", "/v1/shelves/7/items/42", items=1)
POST = Scenario("POST 1 kB", "/v1/shelves/7/items", item_of_1_kb(), "application/json", items=1)
LIST_100 = Scenario("list of 100", "/v1/items?count=100", items=100)
LIST_10_000 = Scenario(
    "list of 10,000", "/v1/items?count=10000", items=10_000, connections=2, slow=True
)
LINES = _stream(Setup.LINES, "application/x-ndjson")
HEADLINES = (SMALL_GET, POST, LIST_100, LIST_10_000, LINES)
"""What a chart shows at a glance."""
SCENARIOS = (
    SMALL_GET,
    POST,
    LIST_100,
    LIST_10_000,
    LINES,
    _stream(Setup.EVENTS, "text/event-stream"),
    _stream(Setup.ARRAY, "application/json"),
    _download("1 MB down", f"/v1/blobs/{_MEGABYTE}"),
    _download("1 MB down, streamed", f"/v1/blobs/{_MEGABYTE}:download"),
    _upload("1 MB up", "/v1/blobs/b"),
    _upload("1 MB up, streamed", "/v1/blobs:upload"),
    Scenario("404", "/v1/nowhere", status=404),
    Scenario("401 refused", SMALL_GET.target, status=401, setup=Setup.GUARDED),
)
