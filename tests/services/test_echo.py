"""The echo service returns what it saw, and fails, dawdles and decorates as told."""

from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.wrappers_pb2 import StringValue

from gen.echo.v1 import echo_pb2 as pb
from tests.services.refused import code_and_details, refusal, stream_refusal, violations

LIBRARY_CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def seen(response: pb.EchoResponse, name: str) -> list[str | bytes]:
    return [
        one.binary_value if one.HasField("binary_value") else one.value
        for one in response.metadata
        if one.name == name
    ]


async def test_a_request_comes_back_whole(echo: Any) -> None:
    inner = pb.EchoRequest(text="inner", words=["x"])
    sent = pb.EchoRequest(text="a/b", rest="c/d", number=-7, words=["", "ż"], inner=inner)
    response = await echo.Echo(sent)
    for field in pb.EchoRequest.DESCRIPTOR.fields_by_name:
        assert getattr(response, field) == (getattr(sent, field)), field


async def test_metadata_comes_back_as_often_as_it_was_sent_text_and_binary(echo: Any) -> None:
    sent = (("x-one", "1"), ("x-one", "2"), ("x-bin", b"\x00\xff"))
    response = await echo.Echo(pb.EchoRequest(), metadata=sent)
    assert seen(response, "x-one") == ["1", "2"]
    assert seen(response, "x-bin") == [b"\x00\xff"]
    assert seen(response, "user-agent")


async def test_the_time_that_remains_is_told_where_there_is_a_deadline(echo: Any) -> None:
    with_deadline = await echo.Echo(pb.EchoRequest(), timeout=20)
    # gRPC rounds timeouts up, and turns one clock's instants into another's.
    assert 10 < with_deadline.time_remaining.ToTimedelta().total_seconds() < 21
    without = await echo.Echo(pb.EchoRequest())
    assert not without.HasField("time_remaining")


@pytest.mark.parametrize("code", LIBRARY_CODES, ids=lambda code: code.name)
async def test_it_fails_with_any_code(echo: Any, code: grpc.StatusCode) -> None:
    request = pb.FailRequest(code=code.value[0], message="as told: ż", reason="TOLD")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await echo.Fail(request)
    assert caught.value.details() == "as told: ż"
    name, (detail,) = code_and_details(caught.value)
    assert (name, detail.reason, detail.domain) == (code.name, "TOLD", "echo.example.com")


async def test_it_fails_with_the_details_it_was_sent(echo: Any) -> None:
    detail = AnyMessage()
    detail.Pack(StringValue(value="why"))
    _, details = await refusal(echo.Fail(pb.FailRequest(code=5, details=[detail])))
    assert details == [StringValue(value="why")]


@pytest.mark.parametrize("code", [-1, 0, 17])
async def test_it_fails_otherwise_with_what_is_no_code(echo: Any, code: int) -> None:
    assert await violations(echo.Fail(pb.FailRequest(code=code))) == ["code"]


async def test_it_sleeps_as_long_as_told(echo: Any) -> None:
    duration = Duration(nanos=20_000_000)
    response = await echo.Sleep(pb.SleepRequest(duration=duration))
    assert response.slept.ToNanoseconds() >= 20_000_000


async def test_a_deadline_ends_its_sleep(echo: Any) -> None:
    call = echo.Sleep(pb.SleepRequest(duration=Duration(seconds=30)), timeout=0.05)
    assert (await refusal(call))[0] == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("seconds", [-1, 61, 300_000_000_000])
async def test_it_refuses_to_sleep_backwards_or_for_too_long(echo: Any, seconds: int) -> None:
    call = echo.Sleep(pb.SleepRequest(duration=Duration(seconds=seconds)))
    assert await violations(call) == ["duration"]


async def test_it_sends_the_metadata_it_is_told_to(echo: Any) -> None:
    request = pb.SendMetadataRequest(
        headers=[pb.Metadatum(name="x-a", value="1"), pb.Metadatum(name="x-a", value="2")],
        trailers=[pb.Metadatum(name="x-bin", binary_value=b"\x00")],
    )
    call = echo.SendMetadata(request)
    await call
    assert (await call.initial_metadata()).get_all("x-a") == ["1", "2"]
    assert (await call.trailing_metadata()).get_all("x-bin") == [b"\x00"]


@pytest.mark.parametrize(
    "metadatum",
    [
        pytest.param(pb.Metadatum(name="", value="x"), id="no name"),
        pytest.param(pb.Metadatum(name="Upper", value="x"), id="capitals"),
        pytest.param(pb.Metadatum(name="grpc-status", value="0"), id="gRPC's own"),
        pytest.param(pb.Metadatum(name="x-bin", value="x"), id="text under a binary name"),
        pytest.param(pb.Metadatum(name="x", binary_value=b"x"), id="binary under a text name"),
        pytest.param(pb.Metadatum(name="x", value="a\nb"), id="a line break"),
        pytest.param(pb.Metadatum(name="x", value="ż"), id="not ASCII"),
    ],
)
async def test_it_refuses_metadata_that_cannot_be_sent(echo: Any, metadatum: pb.Metadatum) -> None:
    headers = echo.SendMetadata(pb.SendMetadataRequest(headers=[metadatum]))
    assert await violations(headers) == ["headers[0]"]
    trailers = echo.SendMetadata(pb.SendMetadataRequest(trailers=[metadatum]))
    assert await violations(trailers) == ["trailers[0]"]


async def test_it_repeats_itself_as_often_as_told(echo: Any) -> None:
    interval = Duration(nanos=1_000_000)
    call = echo.Repeat(pb.RepeatRequest(text="x", count=3, interval=interval))
    assert [(r.text, r.number) async for r in call] == [("x", 1), ("x", 2), ("x", 3)]


async def test_it_fails_halfway_when_told(echo: Any) -> None:
    call = echo.Repeat(pb.RepeatRequest(text="x", count=2, code=15))
    assert [(await call.read()).number for _ in range(2)] == [1, 2]
    assert (await stream_refusal(call))[0] == "DATA_LOSS"


@pytest.mark.parametrize("count", [-1, 100_001])
async def test_it_does_not_repeat_itself_for_ever(echo: Any, count: int) -> None:
    code, _ = await stream_refusal(echo.Repeat(pb.RepeatRequest(count=count)))
    assert code == "INVALID_ARGUMENT"
