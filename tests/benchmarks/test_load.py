"""What is asked of a gateway, which answers are right, and how they are counted."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise, repeat
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from benchmarks.at_once import content_length, exhaust, read_requests
from benchmarks.building import paced
from benchmarks.guards import added, kinds
from benchmarks.load import ask, names_of_headers, warm_up
from benchmarks.peers import Peer
from benchmarks.scenarios import SCENARIOS, SMALL_GET, Scenario, Setup

REQUEST = b"GET /good HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ITEM = b'{"serial":"9007199254740993"}'


class Answering(BaseHTTPRequestHandler):
    """Answers /chunks in chunks, /good with 200, and everything else with 404."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[float, str]]] = []
    """The time and the path of each request."""

    def do_GET(self) -> None:
        self.asked.append((time.monotonic(), self.path))
        self.send_response(200 if self.path in ("/good", "/chunks") else 404)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"2\r\nab\r\n")
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(ITEM)))
            self.end_headers()
            self.wfile.write(ITEM)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """Lets as many connect at once as ever ask."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Says nothing of clients that hang up, as those here do."""


@contextmanager
def answering() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with answering() as port:
        yield port


@pytest.mark.parametrize(
    ("head", "length"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 12", 12, id="said"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length:0", 0, id="nothing, in small letters"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", -1, id="in chunks"),
    ],
)
def test_the_length_of_a_body_is_read_from_its_head(head: bytes, length: int) -> None:
    assert content_length(head) == length


@pytest.mark.parametrize(
    ("path", "is_good"),
    [
        pytest.param(b"/good", True, id="of a known length"),
        pytest.param(b"/chunks", True, id="in chunks"),
        pytest.param(b"/bad", False, id="refused"),
    ],
)
def test_every_answer_is_counted_and_judged(port: int, path: bytes, is_good: bool) -> None:
    answered, good, seconds = exhaust(port, 2, 0.05, repeat(REQUEST.replace(b"/good", path)))
    assert answered >= 2
    assert good == (answered if is_good else 0)
    assert 0.05 <= seconds < 5


def test_what_was_begun_is_waited_for_however_short_the_time(port: int) -> None:
    answered, good, _ = exhaust(port, 3, 0.0, repeat(REQUEST))
    assert (answered, good) == (3, 3)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_pace_is_kept(port: int, tmp_path: Path) -> None:
    file = tmp_path / "requests"
    paths = [b"/good", b"/chunks", b"/bad"]
    made = [REQUEST.replace(b"/good", path) for path in paths]
    file.write_bytes(b"".join(b"%08d%b" % (len(one), one) for one in made))
    Answering.asked.clear()
    command = [str(paced()), str(port), "100", "0.3", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    p50_ms, p99_ms = map(float, done.stdout.split())
    assert 0 < p50_ms <= p99_ms
    # In turn, the last 0.29 s after the first.
    assert [path.encode() for _, path in sorted(Answering.asked)] == paths * 10
    (first_s, _), (last_s, _) = min(Answering.asked), max(Answering.asked)
    assert last_s - first_s > 0.25


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_gateway_that_hangs_up_is_told(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    file.write_bytes(b"%08d%b" % (len(REQUEST), REQUEST))
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [str(paced()), str(server.getsockname()[1]), "100", "0.1", str(file)]
        asking = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        with asking:
            server.accept()[0].close()
            _, told = asking.communicate(timeout=30)
    assert asking.returncode == 1
    assert "the gateway closed a connection" in told


@pytest.mark.parametrize(("wanted", "sent"), [(0, 0), (4, 6)])
def test_a_gateway_is_warmed_up_with_as_many_requests_as_it_needs(
    port: int, wanted: int, sent: int
) -> None:
    peer = Peer("x", frozenset(), (), port, wanted)
    three_at_once = Scenario("x", "/good", connections=3, slow=True, repeats=True)
    assert warm_up(peer, three_at_once, 0) == sent


def test_requests_are_read_from_a_file_as_they_were_written() -> None:
    assert read_requests(b"00000002ab00000000" + b"00000010" + b"0123456789") == [
        b"ab",
        b"",
        b"0123456789",
    ]


def test_an_answer_is_asked_for_with_the_headers_of_its_scenario(port: int) -> None:
    assert ask(port, Scenario("x", "/good", accept="a/b")) == (200, ITEM)


def test_the_headers_of_an_answer_can_be_looked_at(port: int) -> None:
    assert "content-length" in names_of_headers(port, Scenario("x", "/good"))
    assert "content-length" not in names_of_headers(port, Scenario("x", "/chunks"))


@pytest.mark.parametrize(
    ("scenario", "status", "body", "objection"),
    [
        pytest.param(SMALL_GET, 200, ITEM, "", id="right"),
        pytest.param(SMALL_GET, 404, ITEM, "answers 404", id="status"),
        pytest.param(
            SMALL_GET, 200, b'{"serial":9007199254740993}', "0 items as ProtoJSON", id="int64"
        ),
        pytest.param(Scenario("", "", items=2), 200, ITEM, "has 1 items", id="too few"),
        pytest.param(Scenario("", "", answer_bytes=9), 200, b"short", "has 5 bytes", id="short"),
        pytest.param(Scenario("", "", status=401), 401, b"", "", id="refused as it should be"),
    ],
)
def test_an_answer_counts_only_if_it_is_right(
    scenario: Scenario, status: int, body: bytes, objection: str
) -> None:
    found = scenario.objection(status, body)
    assert objection in found
    assert bool(found) is bool(objection)


def test_only_a_guarded_gateway_is_asked_to_refuse() -> None:
    guarded = [scenario for scenario in SCENARIOS if scenario.setup is Setup.GUARDED]
    assert [scenario.status for scenario in guarded] == [401]


def test_streams_are_told_by_the_message() -> None:
    streams = [scenario for scenario in SCENARIOS if scenario.units > 1]
    assert [scenario.setup for scenario in streams] == [Setup.LINES, Setup.EVENTS, Setup.ARRAY]
    for scenario in streams:
        assert scenario.items == scenario.units
        assert re.search(rf"count={scenario.units}$", scenario.target)


def test_headers_are_those_that_a_scenario_has() -> None:
    assert SMALL_GET.headers == {}
    shown = Scenario("", "", b"x", "text/plain", token="t")
    assert shown.headers == {"Content-Type": "text/plain", "Authorization": "Bearer t"}
    assert shown.method == "POST"


def test_each_kind_of_gateway_has_the_guards_of_the_one_before_it() -> None:
    names = [kind.guard for kind in kinds()]
    assert names == ["open", "access log", "token", "rate limit", "CORS"]
    for before, after in pairwise(kinds()[1:]):
        assert before.settings.items() <= after.settings.items()


def test_what_a_guard_adds_is_told_turn_by_turn() -> None:
    costs = [("open", [100, 200, 300]), ("log", [104, 204, 304]), ("token", [110, 210, 990])]
    assert added(costs) == {"log": 4, "token": 6, "all of them": 10}
