"""The JSON of details is the same whichever way it is written: the quick ways are the long one."""

import json
import random
from typing import Any, cast

import pytest
from google.protobuf import any_pb2, duration_pb2, struct_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as usual
from google.rpc.status_pb2 import Status

from gateway.status import Code, FieldViolation, StatusError, invalid_fields
from gateway.transcoding.json.native import VARIABLE
from gateway.transcoding.transcoder import Transcoder
from gateway.upstream.channels.failures import DETAILS, backend_error
from tests.support.shelves import transcoder

_TEXTS = [
    "", "plain", 'got "x"', "a\\b", "line\nand\ttab", "\x00\x1f", "\x7f", "é", "\u2028", "😀",
    "\udcff", "</script>", "'", "/",
]  # fmt: skip
_VIOLATIONS = [FieldViolation(a, b, c) for a in _TEXTS for b in _TEXTS for c in ("", "r", 'q"')]
_WRONG_BODIES = [
    b"{", b"[]", b"1", b"nul", b'{"x":1}', b'{"title":1}', b'{"title":"a","title":"b"}',
    b'{"pages":"x"}', b'{"pages":1.5}', b'{"pages":3000000000}', b'{"pages":{}}',
    b'{"title":"\\ud800"}', b'{"title":"\xff"}', b'{"title":1,"pages":"\xc3\xa9","no":{}}',
    b'{"\\"\\n\xc3\xa9":1}', b'{"title":"a"} x', b"[" * 200,
]  # fmt: skip
_WRONG_QUERIES = [
    "pages=x", "pages=%22", "pages=%C3%A9", "no=1", "n%0Ao=1", "pages=1&pages=2", "pages=%",
    "pages=%FF", "pages=99999999999", "a.b.c=1", "pages=" + "9" * 60,
]  # fmt: skip


def packed(*messages: Message) -> list[any_pb2.Any]:
    details = [any_pb2.Any() for _ in messages]
    for detail, message in zip(details, messages, strict=True):
        detail.Pack(message)
    return details


def written_at_length(made: Transcoder, error: StatusError) -> bytes:
    """Writes the details as objects, through another one that no quick way takes."""
    other = any_pb2.Any(type_url="type.googleapis.com/google.rpc.Unknown", value=b"x")
    details = [*error.details, other]
    whole = StatusError(error.code, error.message, http_status=error.http_status, details=details)
    document = json.loads(made.encode_error(whole).body)
    document["error"]["details"].pop()
    if not document["error"]["details"]:
        del document["error"]["details"]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.fixture(params=["", "python"])
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The codec that is installed, and Python's."""
    monkeypatch.setenv(VARIABLE, request.param)


SETTINGS = pytest.mark.parametrize("settings", [{}, {"emit_unset": False}, {"proto_names": True}])


@SETTINGS
@pytest.mark.usefixtures("codec")
def test_violations_of_any_text_are_written_alike(settings: dict[str, Any]) -> None:
    made = transcoder(json=settings)
    for at in range(0, len(_VIOLATIONS), 40):
        error = invalid_fields(_VIOLATIONS[at : at + 40])
        assert made.encode_error(error).body == written_at_length(made, error)


@SETTINGS
@pytest.mark.usefixtures("codec")
def test_violations_over_the_limit_are_written_alike(settings: dict[str, Any]) -> None:
    made = transcoder(json=settings)
    for size in (90_000, 600_000, 1_100_000):
        error = invalid_fields([FieldViolation("a", "\u2028" * size)])
        assert made.encode_error(error).body == written_at_length(made, error)


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize(
    ("line", "body", "query"),
    [
        *(("PUT /v1/books/a", body, "") for body in _WRONG_BODIES),
        *(("GET /v1/books/a", b"", query) for query in _WRONG_QUERIES),
    ],
)
def test_what_is_wrong_with_a_request_is_written_alike(line: str, body: bytes, query: str) -> None:
    made = transcoder()
    found = made.match(*line.split(" "))
    with pytest.raises(StatusError) as refused:
        made.decode(found, query, "application/json", body)
    error = refused.value
    body = made.encode_error(error).body
    assert error.violations, "its detail was made"
    assert body == written_at_length(made, error)


_STATUS = Status(
    code=5,
    message="no such shelf",
    details=packed(
        usual.ErrorInfo(reason="NO_SHELF", domain="a.example", metadata={"shelf": '"7"'}),
        usual.RetryInfo(retry_delay=duration_pb2.Duration(seconds=3)),
        usual.Help(),
    ),
)
_FLOATS = struct_pb2.Value(number_value=1e21)
_STATUSES = [
    Status(), Status(code=5, message="é"), Status(code=-1), _STATUS,
    Status(details=packed(usual.DebugInfo(detail="é"), usual.ErrorInfo(reason="a\nb"))),
    Status(details=packed(usual.ErrorInfo(reason="A"), _FLOATS)),
    Status(details=[any_pb2.Any(type_url="type.googleapis.com/google.rpc.Help", value=b"\xff")]),
    Status(details=packed(usual.DebugInfo(detail="x" * 600_000)) * 2),
    Status(details=packed(usual.Help()) * 1001),
]  # fmt: skip


def assert_alike(made: Transcoder, status: bytes, *, at_length: bool = True) -> None:
    quick = backend_error(5, "gone", [], [(DETAILS, status)])
    body = made.encode_error(quick).body
    decoded = StatusError(Code.NOT_FOUND, "gone", details=quick.details)
    assert body == made.encode_error(decoded).body
    assert not at_length or body == written_at_length(made, decoded)


@SETTINGS
@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize("status", _STATUSES)
def test_details_of_a_back_end_are_written_alike(status: Status, settings: dict[str, Any]) -> None:
    # With one more detail, another one would be over a limit.
    at_length = len(status.details) <= 1000 and status.ByteSize() < 1_000_000
    assert_alike(transcoder(json=settings), status.SerializeToString(), at_length=at_length)


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize("seed", range(4))
def test_details_that_are_broken_in_any_place_are_written_alike(seed: int) -> None:
    chance, whole, made = random.Random(seed), _STATUS.SerializeToString(), transcoder()
    for _ in range(200):
        broken = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(broken))
            broken[at : at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
        assert_alike(made, bytes(broken))


@pytest.mark.parametrize("of_back_end", [True, False])
def test_details_that_were_read_may_be_changed(*, of_back_end: bool) -> None:
    status = _STATUS.SerializeToString()
    error: StatusError = invalid_fields([FieldViolation("a", "b")])
    if of_back_end:
        error = backend_error(5, "gone", [], [(DETAILS, status)])
    before = len(error.details)
    cast("list[any_pb2.Any]", error.details).append(any_pb2.Any())
    shown = json.loads(transcoder().encode_error(error).body)["error"]["details"]
    assert len(shown) == len(error.details) == before + 1


def test_groups_within_the_code_of_a_status_are_no_code() -> None:
    made = transcoder()
    for depth in (1, 5, 6, 99, 101, 5000):
        assert_alike(made, b"\x0b" * depth + b"\x0c" * depth)
