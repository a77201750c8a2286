"""How long each call may take."""

import pytest
from google.protobuf.empty_pb2 import DESCRIPTOR as EMPTY

from gateway.config.deadlines import DeadlineOptions
from gateway.policy.deadlines import Deadlines
from gateway.schema.catalog import Method, Source
from gateway.status import Code, StatusError

OPTIONS = DeadlineOptions.model_validate(
    {
        "default_s": 20,
        "ceiling_s": 40,
        "methods": [
            {"selector": "a.v1.*", "default_s": 5},
            {"selector": "a.v1.Slow.*", "ceiling_s": 100},
            {"selector": "a.v1.Slow.Get", "default_s": 50},
            {"selector": "b.Short.Get", "ceiling_s": 10},
        ],
    }
)


def method(full_name: str, *, streams: bool = False) -> Method:
    service, _, name = full_name.rpartition(".")
    empty = EMPTY.message_types_by_name["Empty"]
    return Method(
        service, name, empty, empty,
        client_streaming=streams, server_streaming=False, rules=(), source=Source("test"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "asked", "timeout_s"),
    [
        pytest.param("c.Any.Get", None, 20, id="the default"),
        pytest.param("c.Any.Get", "3S", 3, id="what is asked for"),
        pytest.param("c.Any.Get", "1H", 40, id="the ceiling"),
        pytest.param("c.Any.Get", "0n", 0, id="no time at all"),
        pytest.param("a.v1.One.Get", None, 5, id="a rule for a package"),
        pytest.param("a.v10.One.Get", None, 20, id="which ends at a dot"),
        pytest.param("a.v1.Slow.List", None, 5, id="rules add up"),
        pytest.param("a.v1.Slow.List", "1H", 100, id="in both values"),
        pytest.param("a.v1.Slow.Get", None, 50, id="the last one counts"),
        pytest.param("b.Short.Get", None, 10, id="no default over the ceiling"),
    ],
)
def test_a_call_gets_its_time(name: str, asked: str | None, timeout_s: float) -> None:
    deadlines = Deadlines(OPTIONS)
    of = method(name)
    assert [deadlines.timeout_s(of, asked) for _ in range(2)] == [timeout_s, timeout_s]


def test_a_timeout_that_is_none_is_refused() -> None:
    with pytest.raises(StatusError) as raised:
        Deadlines(OPTIONS).timeout_s(method("c.Any.Get"), "soon")
    assert raised.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("name", "streams", "idle_s"),
    [
        pytest.param("a.S.Quiet", True, 60, id="its own"),
        pytest.param("a.S.Other", True, 20, id="its service's"),
        pytest.param("b.S.Get", True, 10, id="everybody's"),
        pytest.param("a.S.Quiet", False, None, id="no stream"),
    ],
)
def test_a_stream_may_be_idle_as_its_last_rule_says(
    name: str, streams: bool, idle_s: float | None
) -> None:
    rules = [{"selector": "a.S.*", "idle_s": 20}, {"selector": "a.S.Quiet", "idle_s": 60}]
    options = DeadlineOptions.model_validate({"stream_idle_s": 10, "methods": rules})
    called = method(name, streams=streams)
    assert Deadlines(options).idle_s(called) == idle_s
    assert Deadlines(DeadlineOptions()).idle_s(called) is None
