"""When a failed call is repeated: pauses, pushback and the budget, by the figures of gRFC A6."""

from random import Random
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as Detail
from google.rpc.error_details_pb2 import RetryInfo
from pydantic import ValidationError

from gateway.config.retries import RetryPolicy
from gateway.config.upstreams import Upstream
from gateway.status import Code, StatusError
from gateway.upstream.channels.failures import (
    BackendError,
    LateAttempt,
    backend_error,
    connection_lost,
)
from gateway.upstream.repeats import NotRepeated
from gateway.upstream.retrying import Retrying
from gateway.upstream.throttle import Throttle


def policy(**options: Any) -> Retrying:
    return Retrying(RetryPolicy.model_validate(options), Random(1), here=True)


def pushed_back(text: str) -> BackendError:
    return backend_error(14, "", [], [("grpc-retry-pushback-ms", text), ("x-other", "1")])


def test_only_the_codes_of_the_policy_and_lost_connections_are_repeated() -> None:
    retrying = policy(retryable_status_codes=["UNAVAILABLE", "ABORTED"])
    covered = {code for code in Code if retrying.covers(StatusError(code, ""))}
    assert covered == {Code.UNAVAILABLE, Code.ABORTED}
    assert policy(retryable_status_codes=["ABORTED"]).covers(connection_lost("library"))


def test_pauses_grow_up_to_the_longest_and_vary_by_a_fifth() -> None:
    retrying = policy(max_attempts=5, initial_backoff_s=1, max_backoff_s=3, backoff_multiplier=2)
    error = StatusError(Code.UNAVAILABLE, "")
    for attempts, expected_s in ((1, 1), (2, 2), (3, 3), (4, 3)):
        pauses = [float(retrying.pause_s(error, attempts, 0)) for _ in range(200)]
        assert 0.8 * expected_s <= min(pauses) < 0.85 * expected_s
        assert 1.15 * expected_s < max(pauses) <= 1.2 * expected_s
    assert retrying.pause_s(error, 5, 0) is NotRepeated.ATTEMPTS


@pytest.mark.parametrize("error", [connection_lost("library"), LateAttempt()])
def test_no_pause_follows_what_took_time_already_or_is_seen_at_once(error: StatusError) -> None:
    retrying = policy(max_attempts=3, initial_backoff_s=1, max_backoff_s=9)
    pauses = [retrying.pause_s(error, attempts, 0) for attempts in (1, 2, 3)]
    assert pauses == [0.0, 0.0, NotRepeated.ATTEMPTS]


@pytest.mark.parametrize(
    ("text", "pause_s"),
    [
        *(("0", 0.0), ("1500", 1.5)),
        *((text, NotRepeated.PUSHBACK) for text in ("-1", "01", "1.5", "")),
    ],
)
def test_a_back_end_chooses_the_pause_or_forbids_the_repeat(
    text: str, pause_s: float | NotRepeated
) -> None:
    assert policy().pause_s(pushed_back(text), 1, 0) == pause_s
    assert policy().pause_s(pushed_back(text), 2, 0) is NotRepeated.ATTEMPTS


def test_pushback_starts_the_pauses_anew() -> None:
    retrying = policy(max_attempts=5, initial_backoff_s=1, max_backoff_s=9)
    pause_s = retrying.pause_s(StatusError(Code.UNAVAILABLE, ""), 3, 2)
    assert pause_s == pytest.approx(1, rel=0.2)


def test_pushback_is_no_trailer_of_the_error() -> None:
    assert pushed_back("5").trailers == [("x-other", "1")]


def test_a_retry_info_is_the_shortest_pause() -> None:
    detail, info = Detail(), RetryInfo()
    info.retry_delay.FromMilliseconds(2500)
    detail.Pack(info)
    error = StatusError(Code.UNAVAILABLE, "", details=[detail])
    assert policy().pause_s(error, 1, 0) == 2.5


@pytest.mark.parametrize(("in_flight", "most"), [(0, 5), (10, 5), (30, 6), (100, 20)])
def test_repeats_under_way_are_a_fifth_of_the_calls_but_always_five(
    in_flight: int, most: int
) -> None:
    retrying = policy()
    assert [retrying.begin(in_flight) for _ in range(most + 2)] == [True] * most + [False] * 2
    retrying.end()
    assert retrying.begin(in_flight)


def test_five_failures_of_ten_tokens_stop_repeats_and_one_success_allows_them() -> None:
    throttle = Throttle(max_tokens=10, token_ratio=0.1)
    retrying = Retrying(RetryPolicy(), Random(1), here=True, throttle=throttle)
    error = StatusError(Code.UNAVAILABLE, "")
    for _ in range(4):
        throttle.failed()
        assert isinstance(retrying.pause_s(error, 1, 0), float)
    throttle.failed()
    assert retrying.pause_s(error, 1, 0) is NotRepeated.THROTTLE
    assert retrying.pause_s(connection_lost("library"), 1, 0) is NotRepeated.THROTTLE
    assert retrying.pause_s(pushed_back("-1"), 1, 0) is NotRepeated.PUSHBACK
    throttle.succeeded()
    assert isinstance(retrying.pause_s(error, 1, 0), float)


def test_tokens_are_never_below_none_or_above_the_most() -> None:
    throttle = Throttle(max_tokens=2, token_ratio=1)
    for _ in range(9):
        throttle.failed()
    throttle.succeeded()
    assert not throttle.allows
    for _ in range(9):
        throttle.succeeded()
    throttle.failed()
    assert not throttle.allows


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"retries": "off", "retry_policy": {}}, "has no effect with retries: off"),
        ({"retry_policy": {"max_attempts": 1}}, "greater than or equal to 2"),
        ({"retry_policy": {"max_backoff_s": 0.01}}, "expected initial_backoff_s or more"),
        ({"retries": "off", "retry_throttling": {"max_tokens": 1, "token_ratio": 1}}, "no effect"),
        ({"retry_throttling": {"max_tokens": 0, "token_ratio": 1}}, "greater than or equal to 1"),
        ({"retry_policy": {"per_try_s": 0}}, "greater than 0"),
        ({"channel": "grpcio", "retry_policy": {}}, "is for channel: http2"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Upstream.model_validate({"target": "localhost:1", **settings})
