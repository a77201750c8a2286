"""The error type: its text is its message, and each failure has its own parts."""

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2

from gateway.status import (
    Code,
    FieldViolation,
    Refused,
    RefusedAlike,
    StatusError,
    invalid_argument,
    invalid_fields,
)


def test_the_text_is_the_message() -> None:
    error = StatusError(Code.NOT_FOUND, "no such book", headers=[("A", "b")])
    assert str(error) == "no such book"
    assert repr(error) == "StatusError(NOT_FOUND, 'no such book')"


def test_the_parts_of_one_failure_are_not_those_of_another() -> None:
    full = StatusError(
        Code.ABORTED, "a", details=[any_pb2.Any()], headers=[("A", "b")], metadata=[("c", "d")],
        trailers=[("e", "f")],
    )  # fmt: skip
    full.was_processed = True
    bare = StatusError(Code.ABORTED, "a")
    for name in ("details", "headers", "metadata", "trailers", "attempts"):
        assert list(getattr(bare, name)) == [], name
    assert bare.was_processed is None
    assert (list(full.headers), list(full.trailers)) == ([("A", "b")], [("e", "f")])


def test_a_failure_can_be_copied_whole() -> None:
    error = StatusError(Code.ABORTED, "a", http_status=418, headers=[("A", "b")])
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.code, str(copied), copied.http_status) == (Code.ABORTED, "a", 418)
    assert copied.headers == [("A", "b")]


def test_invalid_fields_are_a_detail() -> None:
    error = invalid_fields([FieldViolation("a.b", "is empty", "required"), FieldViolation("", "x")])
    assert str(error) == "a.b: is empty; x"
    (detail,) = error.details
    bad = error_details_pb2.BadRequest()
    assert detail.Unpack(bad)
    assert [(one.field, one.description, one.reason) for one in bad.field_violations] == [
        ("a.b", "is empty", "required"), ("", "x", ""),
    ]  # fmt: skip
    assert detail.type_url == "type.googleapis.com/google.rpc.BadRequest"
    assert invalid_argument("a", "b").code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384])
def test_invalid_fields_are_encoded_as_protobuf_does(size: int) -> None:
    violations = [FieldViolation("é" * size, "x" * size, ""), FieldViolation("", "", "r" * size)]
    bad = error_details_pb2.BadRequest()
    for one in violations:
        bad.field_violations.add(field=one.field, description=one.description, reason=one.reason)
    packed = any_pb2.Any()
    packed.Pack(bad)
    error = invalid_fields(violations)
    assert error.bad_request == packed.SerializeToString()
    assert list(error.details) == [packed]


def test_details_that_are_replaced_are_all_there_is() -> None:
    error = invalid_argument("a", "b")
    error.details = [any_pb2.Any(value=b"c")]
    assert (error.details[0].value, error.bad_request) == (b"c", b"")


async def _awaited(pending: Awaitable[object]) -> object:
    return await pending


@pytest.mark.parametrize(
    "run",
    [
        _awaited,
        asyncio.ensure_future,
        asyncio.create_task,
        lambda pending: asyncio.wait_for(pending, 10),
        asyncio.gather,
    ],
)
async def test_a_refusal_is_raised_where_it_is_awaited(
    run: Callable[[Awaitable[object]], Awaitable[object]],
) -> None:
    error = StatusError(Code.UNAUTHENTICATED, "no")
    with pytest.raises(StatusError) as caught:
        await run(Refused(error))
    assert caught.value is error


async def test_each_call_of_a_shared_refusal_gets_an_error_of_its_own() -> None:
    shared = RefusedAlike(Code.UNAUTHENTICATED, "no", [("WWW-Authenticate", "Bearer")])
    errors = []
    for _ in range(2):
        with pytest.raises(StatusError, match="no") as caught:
            await shared
        errors.append(caught.value)
    first, second = errors
    assert first is not second
    cast("list[tuple[str, str]]", first.headers).append(("A", "b"))  # as an interceptor may
    assert (second.code, second.http_status) == (Code.UNAUTHENTICATED, 401)
    assert second.headers == shared.headers == [("WWW-Authenticate", "Bearer")]


async def test_a_task_of_a_refusal_can_be_cancelled_before_it_runs() -> None:
    task: asyncio.Task[object] = asyncio.create_task(Refused(StatusError(Code.ABORTED, "no")))  # type: ignore[arg-type]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
