"""Records of ended requests, and the observers that get them, whatever logs are open."""

import time

import pytest

from gateway.call import Principal
from gateway.config.log import LogOptions
from gateway.exchange.calls import RequestLog
from gateway.status import Attempt, Code
from gateway.telemetry import record as record_module
from gateway.telemetry.logs.opening import open_logs
from gateway.telemetry.masking import PathMasks
from gateway.telemetry.record import CompiledObserver, Record
from tests.support.entries import bindings
from tests.support.site import PEER, Records, make_request

MASKS = PathMasks(bindings().values())
ATTEMPT = Attempt("a:1", 0, False, 1.0, 2.0, Code.OK)


def note(log: RequestLog, *, started_s: float = 0.0) -> None:
    request = make_request("/v1/holders/ada?a=b", User_Agent="me", traceparent="00-a-b-01")
    request.id, request.body_bytes, request.client = "id", 7, "192.0.2.9"
    request.principal, request.cache_result = Principal("ann"), "miss"
    request.split, request.attempts = ("halves", "blue"), (ATTEMPT,)
    request.http_version, request.first_byte_s, request.back_end_failed = "1.0", 5.5, True
    log.note(request, None, 404, Code.NOT_FOUND, 5, started_s or time.monotonic())


def test_a_record_states_how_a_request_ended() -> None:
    records = Records()
    before_s = time.time()
    note(RequestLog([records], MASKS), started_s=time.monotonic() - 2)
    (one,) = records
    assert before_s <= one.at_s <= time.time()
    assert 2 <= one.duration_s < 3
    assert (one.request_id, one.method, one.path, one.query) == (
        "id",
        "GET",
        "/v1/holders/ada",
        "a=b",
    )
    assert (one.status, one.code, one.binding) == (404, Code.NOT_FOUND, None)
    assert (one.request_bytes, one.response_bytes) == (7, 5)
    assert (one.peer, one.client, one.principal) == (PEER, "192.0.2.9", Principal("ann"))
    assert (one.cache_result, one.split) == ("miss", ("halves", "blue"))
    assert one.attempts == (ATTEMPT,)
    assert (one.http_version, one.first_byte_s, one.back_end_failed) == ("1.0", 5.5, True)
    assert one.trace is None
    assert (one.user_agent, one.traceparent) == ("me", "00-a-b-01")
    assert one.masks is MASKS


def test_headers_are_read_by_name_also_later() -> None:
    records = Records()
    note(RequestLog([records], MASKS))
    assert records[0].headers["user-agent"] == "me"


def test_every_observer_gets_the_same_record_in_the_order_they_stand() -> None:
    order: list[str] = []

    class Named(Records):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def ended(self, record: Record) -> None:
            order.append(self.name)
            super().ended(record)

    observers = [Named("a"), Named("b")]
    note(RequestLog(observers, MASKS))
    assert order == ["a", "b"]
    assert observers[0][0] is observers[1][0]


class Unusual(CompiledObserver):
    """Needs no request that ended well within a minute."""

    def __init__(self) -> None:
        self.usual_s = 60.0
        self.seen: list[int] = []

    def ended(self, record: Record) -> None:
        self.seen.append(record.request_bytes)


@pytest.mark.parametrize(
    ("status", "code", "trace", "took_s", "is_passed"),
    [
        pytest.param(200, Code.OK, None, 0.0, False, id="usual"),
        pytest.param(204, Code.OK, f"00-{'a1' * 16}-{'b2' * 8}-02", 0.0, False, id="not sampled"),
        pytest.param(200, Code.OK, f"00-{'a1' * 16}-{'b2' * 8}-03", 0.0, True, id="sampled"),
        pytest.param(200, Code.OK, None, 61.0, True, id="slow"),
        pytest.param(404, Code.OK, None, 0.0, True, id="by its status"),
        pytest.param(200, Code.DATA_LOSS, None, 0.0, True, id="by its code"),
    ],
)
def test_an_observer_can_leave_out_usual_requests(
    status: int, code: Code, trace: str | None, took_s: float, *, is_passed: bool
) -> None:
    unusual, everything = Unusual(), Records()
    request = make_request("/v1/holders/ada")
    if trace is not None:
        request.place(trace.encode(), "", "")
    log = RequestLog([unusual, everything], MASKS)
    log.note(request, None, status, code, 5, time.monotonic() - took_s)
    assert len(unusual.seen) == is_passed
    assert len(everything) == 1


def test_without_observers_no_record_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr("gateway.exchange.calls.Record", lambda *_: made.append(1))
    note(RequestLog([], MASKS))
    assert made == []


async def test_an_observer_needs_no_open_log() -> None:
    records = Records()
    async with open_logs(LogOptions(access="off", events="off", audit="off")) as logs:
        assert logs.observers == []
        note(RequestLog([*logs.observers, records], MASKS))
    assert len(records) == 1


def test_a_record_can_hold_nothing_but_what_is_stated() -> None:
    records = Records()
    note(RequestLog([records], MASKS))
    with pytest.raises(AttributeError):
        records[0].other = 1  # type: ignore[attr-defined]
    assert set(record_module.Record.__slots__) >= {"code", "status", "principal"}
