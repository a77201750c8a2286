"""Makes the requests of a scenario as different clients send them: each differs from the others.

A request that repeats, byte for byte, measures what a gateway remembers of the one before. So
paths, query values, bodies, trace headers, request ids and cookies are new for each request, and
the other headers are those of one of several clients, in its own order. All is made from a seed:
each run and each gateway has the same requests.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.scenarios import Scenario

Client = Mapping[str, str]
"""The headers of a client in its order; `{trace}`, `{span}`, `{id}` and `{user}` are replaced."""

_TRACE = {"traceparent": "00-{trace}-{span}-01", "X-Request-Id": "{id}"}
BROWSER: Client = {
    "Accept": "application/json, text/plain, */*",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0.0.0",
    "Referer": "https://shop.example.com/shelves/7",
    "Origin": "https://shop.example.com",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-site",
    "Cache-Control": "no-cache",
    **_TRACE,
}
CLIENTS: Sequence[Client] = (
    BROWSER,
    {
        "User-Agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 14.5; rv:127.0) Firefox/127.0",
        "Accept": "*/*",
        "Accept-Language": "en-US,en;q=0.5",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Referer": "https://shop.example.com/",
        **_TRACE,
        "Origin": "https://shop.example.com",
        "DNT": "1",
        "Cookie": "session={user}; theme=dark",
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Site": "same-site",
    },
    {
        "accept": "application/json",
        "x-client-version": "4.12.0",
        "x-device-id": "{user}",
        "accept-language": "de-DE",
        **{name.lower(): value for name, value in _TRACE.items()},
        "accept-encoding": "gzip",
        "user-agent": "okhttp/4.12.0",
    },
    {
        "User-Agent": "Go-http-client/1.1",
        "Accept": "application/json",
        "Traceparent": _TRACE["traceparent"],
        "Tracestate": "vendor={span}",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Request-Id": "{id}",
        "Accept-Encoding": "gzip",
    },
)
"""Two browsers, an app, and a service: 8 to 12 headers, besides Host and those of the scenario."""


@dataclass(frozen=True)
class Request:
    """One request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    def wire(self, host: str) -> bytes:
        """Returns the bytes of the request in HTTP/1.1."""
        headers = {"Host": host, **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines = (f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{self.method} {self.target} HTTP/1.1\r\n{''.join(lines)}\r\n"
        return head.encode() + self.body


def requests(scenario: Scenario, clients: Sequence[Client] = CLIENTS) -> Iterator[Request]:
    """Yields requests without end; the same one again and again, if the scenario `repeats`."""
    if scenario.repeats:
        plain = _filled(scenario, {}, shelf="7", item="42")
        while True:
            yield plain
    chance = random.Random(7)
    while True:
        values = {
            "trace": f"{chance.getrandbits(128) | 1:032x}",
            "span": f"{chance.getrandbits(64) | 1:016x}",
            "id": f"{chance.getrandbits(128):032x}",
            "user": f"u{chance.randrange(100_000):05}",
        }
        client = chance.choice(clients)
        headers = {name: value.format_map(values) for name, value in client.items()}
        shelf, item = chance.randrange(1, 1_000), chance.randrange(1, 1_000_000)
        yield _filled(scenario, headers, shelf=str(shelf), item=str(item))


def first(scenario: Scenario) -> Request:
    """Returns the first request of a scenario."""
    return next(requests(scenario))


def _filled(scenario: Scenario, headers: Mapping[str, str], *, shelf: str, item: str) -> Request:
    # The scenario's own headers count: a client sends only one `Accept`.
    own = {name.lower(): value for name, value in scenario.headers.items()}
    kept = {name: value for name, value in headers.items() if name.lower() not in own}
    target = scenario.target.replace("{shelf}", shelf).replace("{item}", item)
    body = scenario.body.replace(b"{shelf}", shelf.encode()).replace(b"{item}", item.encode())
    return Request(scenario.method, target, kept | dict(scenario.headers), body)
