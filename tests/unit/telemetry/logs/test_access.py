"""Lines of the access log."""

import json
import logging
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.call import Principal
from gateway.config.log import LogLevel, LogOptions
from gateway.telemetry.logs.access import AccessLines, AccessLog, Style
from gateway.telemetry.logs.levels import Levels
from gateway.telemetry.logs.writer import FileSink, LogWriter
from gateway.trace_context import Trace
from gateway.transcoding.json.native import VARIABLE, native_module
from tests.support.entries import bindings, entry

HOLDER = bindings()["/v1/holders/{holder}"]
CARD = bindings()["/v1/cards/{number}"]
WATCH = bindings()["/v1/watch"]
JSON = Style()


def lines(style: Style = JSON, chance: float = 0.0, **settings: Any) -> AccessLines:
    options = LogOptions(**settings)
    return AccessLines(options, Levels(options.level), style, lambda: chance)


def told(**changes: Any) -> dict[str, Any]:
    line = lines().line(entry(**changes))
    assert line.endswith(b"}\n")
    read: dict[str, Any] = json.loads(line)
    return read


def test_a_line_is_one_json_object_in_the_words_of_opentelemetry() -> None:
    assert told(binding=HOLDER, query="holder=x") == {
        "timestamp": "1970-01-01T00:00:01.500Z",
        "severity_text": "INFO",
        "scope.name": "gateway.access",
        "http.request.method": "GET",
        "url.path": "/v1/holders/ada",
        "url.query": "holder=***",
        "http.route": "/v1/holders/{holder}",
        "rpc.system.name": "grpc",
        "rpc.method": "logged.v1.Cards/GetHolder",
        "http.response.status_code": 200,
        "rpc.response.status_code": "OK",
        "http.server.request.duration": 0.001234,
        "http.request.body.size": 1,
        "http.response.body.size": 2,
        "client.address": "192.0.2.1",
        "network.peer.address": "10.0.0.1",
        "user_agent.original": "me",
        "gateway.request.id": "id",
    }


def test_who_called_is_told_and_by_which_credential() -> None:
    line = told(principal=Principal("ada", client="app", kind="key", credential="k1"))
    assert (line["enduser.id"], line["gateway.client.id"]) == ("ada", "app")
    assert (line["gateway.credential.kind"], line["gateway.credential.id"]) == ("key", "k1")


def test_headers_that_were_asked_for_are_shown_and_no_others() -> None:
    sent = {"x-tenant": "t1", "authorization": "s"}
    line = lines(headers=("X-Tenant", "x-b")).line(entry(headers=sent))
    shown = {name: value for name, value in json.loads(line).items() if "header" in name}
    assert shown == {"http.request.header.x-tenant": ["t1"]}


def test_a_line_that_cannot_be_formatted_spoils_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "access.log"
    writer = LogWriter(FileSink(file), str)
    log = AccessLog(writer, lines())
    caplog.set_level(logging.ERROR, "gateway")
    for request_id in ("first", 5, "last"):  # a number is no text
        log.ended(entry(request_id=request_id))
    assert writer.close()
    shown = [json.loads(line)["gateway.request.id"] for line in file.read_text().splitlines()]
    assert shown == ["first", "last"]
    assert "a line of the log cannot be formatted" in caplog.text


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_trace_is_told() -> None:
    line = told(traceparent=f"00-{TRACE}-{SPAN}-01")
    assert (line["trace_id"], line["span_id"], line["trace_flags"]) == (TRACE, SPAN, "01")


@pytest.mark.parametrize(
    "traceparent",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        'x","a":"b',
    ],
)
def test_what_is_no_trace_is_not_told(traceparent: str) -> None:
    assert "trace_id" not in told(traceparent=traceparent)


def test_an_unknown_http_method_is_told_apart() -> None:
    line = told(method="BREW")
    assert line["http.request.method"] == "_OTHER"
    assert line["http.request.method_original"] == "BREW"


HOSTILE = [
    pytest.param("a\nb", id="newline"),
    pytest.param("a\r\x00\x1b[31m", id="controls"),
    pytest.param('"},{"severity_text":"ERROR', id="quotes"),
    pytest.param("\\", id="backslash"),
    pytest.param("\u2028\u2029\x85", id="separators of lines"),
    pytest.param("\udc80\udcff", id="invalid UTF-8"),
    pytest.param("\u202egnp.exe", id="right to left"),
    pytest.param("é" * 100_000, id="huge"),
    pytest.param("\x1b" * 100_000, id="huge and escaped"),
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("style", [JSON, Style(text=True), Style(text=True, colour=True)])
def test_nothing_a_client_sends_breaks_a_line(text: str, style: Style) -> None:
    line = (
        lines(style)
        .line(
            entry(
                path=text,
                query=text,
                user_agent=text,
                method=text,
                request_id=text,
                client=text,
                peer=text,
                traceparent=text,
                principal=Principal(text, client=text, kind=text, credential=text),
                headers={"x-a": text},
                binding=HOLDER,
            )
        )
        .decode()
    )
    bare = line.replace("\x1b[32m", "").replace("\x1b[0m", "") if style.colour else line
    assert bare.count("\n") == 1
    assert bare.isascii()
    assert bare.removesuffix("\n").isprintable()
    assert len(line) < 100_000
    if not style.text:
        assert json.loads(line)["severity_text"] == "INFO"
        json.loads(line)["url.path"].encode()  # no lone surrogate, which strict readers refuse


@pytest.mark.parametrize(
    ("level", "status", "duration_s", "severity"),
    [
        pytest.param(LogLevel.INFO, 200, 0.1, "INFO", id="success"),
        pytest.param(LogLevel.INFO, 404, 0.1, "INFO", id="the client's fault"),
        pytest.param(LogLevel.INFO, 503, 0.1, "ERROR", id="ours"),
        pytest.param(LogLevel.INFO, 200, 1.1, "WARN", id="slow"),
        pytest.param(LogLevel.WARN, 200, 0.1, None, id="not that much"),
        pytest.param(LogLevel.WARN, 200, 1.1, "WARN", id="slow at warn"),
        pytest.param(LogLevel.ERROR, 200, 1.1, None, id="slow at error"),
        pytest.param(LogLevel.ERROR, 500, 1.1, "ERROR", id="failure at error"),
    ],
)
def test_the_level_says_which_requests_are_written(
    level: LogLevel, status: int, duration_s: float, severity: str | None
) -> None:
    made = lines(level=level, slow_s=1.0)
    line = made.line(entry(status=status, duration_s=duration_s, binding=HOLDER))
    assert (json.loads(line)["severity_text"] if line else None) == severity


def test_a_stream_is_never_slow() -> None:
    line = lines(slow_s=1.0).line(entry(duration_s=60.0, binding=WATCH))
    assert json.loads(line)["severity_text"] == "INFO"


@pytest.mark.parametrize(
    ("status", "duration_s", "is_written"),
    [
        pytest.param(200, 0.1, False, id="success"),
        pytest.param(400, 0.1, True, id="refused"),
        pytest.param(500, 0.1, True, id="failed"),
        pytest.param(200, 1.1, True, id="slow"),
    ],
)
def test_only_successes_are_sampled(status: int, duration_s: float, is_written: bool) -> None:
    made = lines(chance=0.25, sample=0.25, slow_s=1.0)
    line = made.line(entry(status=status, duration_s=duration_s, binding=HOLDER))
    assert bool(line) == is_written
    assert b"gateway.sample.rate" not in line


def test_a_sampled_line_says_for_how_many_it_stands() -> None:
    line = lines(chance=0.2, sample=0.25).line(entry())
    assert json.loads(line)["gateway.sample.rate"] == 0.25


def test_a_level_can_be_changed_meanwhile() -> None:
    levels = Levels(LogLevel.INFO)
    made = AccessLines(LogOptions(), levels, JSON)
    levels.raise_()
    assert made.line(entry()) == b""
    levels.set(LogLevel.INFO)
    assert made.line(entry())


def test_people_read_a_line_at_a_glance() -> None:
    shown = entry(binding=CARD, path="/v1/cards/1", query="holder=x", principal=Principal("ada"))
    made = lines(Style(text=True))
    assert made.line(shown).decode() == (
        "1970-01-01T00:00:01.500Z INFO  GET /v1/cards/1?holder=*** 200 OK 1.2 ms "
        "logged.v1.Cards/GetCard ada@192.0.2.1 id\n"
    )


def test_colours_are_for_terminals() -> None:
    assert "\x1b[32mINFO" in lines(Style(text=True, colour=True)).line(entry()).decode()
    assert "\x1b[31mERROR" in lines(Style(text=True, colour=True)).line(entry(status=500)).decode()


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        pytest.param(101, "\x1b[2m101\x1b[0m", id="informational"),
        pytest.param(204, "\x1b[32m204\x1b[0m", id="successful"),
        pytest.param(304, "\x1b[36m304\x1b[0m", id="redirection"),
        pytest.param(404, "\x1b[33m404\x1b[0m", id="client error"),
        pytest.param(503, "\x1b[31m503\x1b[0m", id="server error"),
    ],
)
def test_a_status_is_coloured_by_its_class(status: int, shown: str) -> None:
    assert f" {shown} " in lines(Style(text=True, colour=True)).line(entry(status=status)).decode()
    assert f" {status} " in lines(Style(text=True)).line(entry(status=status)).decode()


@pytest.mark.parametrize(
    "name",
    ["Authorization", "cookie", "X-API-Key", "proxy-authorization", "Sec-WebSocket-Protocol"],
)
def test_headers_with_credentials_cannot_be_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="carries credentials"):
        LogOptions(headers=(name,))


@pytest.mark.parametrize("text", [chr(number) for number in range(0x180)])
def test_every_character_is_read_as_it_was(text: str) -> None:
    line = told(path=f"/{text}", user_agent=text, request_id=text)
    assert line["url.path"] == f"/{text}"
    assert line["user_agent.original"] == line["gateway.request.id"] == text


def test_lines_of_one_log_have_the_values_of_their_own_requests() -> None:
    log = lines()
    seen = []
    for number in range(2_000):
        path = f"/v1/holders/{number}"
        sent = entry(
            at_s=number / 2, path=path, user_agent=f"agent {number}", status=200 + number % 300,
            binding=(HOLDER, CARD, None)[number % 3], method=("GET", "HEAD")[number % 2],
        )  # fmt: skip
        seen.append(json.loads(log.line(sent)))
    for number, line in enumerate(seen):
        assert line["timestamp"].endswith(f":{number // 2 % 60:02}.{number % 2 * 500:03}Z")
        assert line["user_agent.original"] == f"agent {number}"
        assert line["http.response.status_code"] == 200 + number % 300
        assert line["http.request.method"] == ("GET", "HEAD")[number % 2]
        route = ("/v1/holders/{holder}", "/v1/cards/{number}", None)[number % 3]
        assert line.get("http.route") == route


def test_lines_keep_no_route_of_a_schema_that_was_replaced() -> None:
    log, route = lines(), replace(HOLDER)
    before = sys.getrefcount(route)
    log.line(entry(binding=route))
    log.line(entry(binding=CARD))
    assert sys.getrefcount(route) == before


PIECES = [
    "/",
    "a",
    "gw",
    "g",
    "w",
    "e",
    "y",
    "J",
    "eyJ",
    "%41",
    "%",
    '"',
    "\\",
    "é",
    "\x7f",
    "\udc80",
]


def trace_of(chance: random.Random) -> Trace:
    """A trace whose ids begin with any digit."""
    digit = chance.choice("0123456789abcdef")
    trace = Trace()
    trace.place(f"00-{'a1' * 16}-{digit}{'2' * 15}-01".encode(), "", "")
    return trace


TRACES = [
    "",
    f"00-{'a1' * 16}-{'b2' * 8}-01",
    f"cc-{'a1' * 16}-{'b2' * 8}-00-é\udc80",
    f"00-{'a1' * 16}-{'b2' * 8}-01{'c3' * 8}",
    f"ff-{'a1' * 16}-{'b2' * 8}-01",
]


def test_the_native_line_is_that_of_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    if native_module() is None:
        pytest.skip("the native module is not built: `make native`")
    native = lines()
    monkeypatch.setenv(VARIABLE, "python")
    definition = lines()
    chance = random.Random(1)
    for number in range(3000):
        text = "".join(chance.choices(PIECES, k=chance.randrange(6)))
        asked = entry(
            at_s=number * 1_400_003.7,
            duration_s=chance.random() * 10 ** chance.randrange(-6, 4),
            path=chance.choice(["/v1/holders/ada", f"/{text}", "/" + "a" * (1020 + number % 8)]),
            query=chance.choice(["", "holder=x"]),
            request_id=chance.choice(["id-1", text]),
            method=chance.choice(["GET", text]),
            binding=chance.choice([HOLDER, None]),
            status=chance.choice([200, 404, 503]),
            response_bytes=chance.randrange(1 << 40),
            client=chance.choice(["192.0.2.1", text]),
            peer=chance.choice(["10.0.0.1", text]),
            user_agent="a" * chance.randrange(40) + text + "-" * chance.randrange(20),
            traceparent=chance.choice(TRACES),
            trace=chance.choice([None, trace_of(chance)]),
            cache_result=chance.choice(["", "hit"]),
        )
        assert native.line(asked) == definition.line(asked)
