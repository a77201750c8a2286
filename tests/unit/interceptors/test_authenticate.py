"""Who is calling, at the start of a call and for as long as it lasts."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import pytest

from gateway.auth.authenticator import (
    MUST_ASK,
    Authenticator,
    Challenge,
    MustAsk,
    cannot_check,
    unauthenticated,
)
from gateway.call import Call, CallHead, Principal, Reply, chain
from gateway.interceptors.authenticate import Authenticate, AuthenticateStream
from gateway.status import Code, StatusError
from tests.support.front_end import schema
from tests.support.polling import until
from tests.support.recording import AuditLog
from tests.support.upstream import Upstream

ADA, BOB = Principal("users/ada"), Principal("users/bob")
OK = Reply(b"ok")


class Scripted:
    """Answers with the next of what it was given, and with the last for ever after."""

    kind = "scripted"
    challenge = Challenge("Scripted", "nothing that is a header")

    def __init__(self, *answers: Principal | StatusError | None) -> None:
        self.answers = list(answers)

    def recall(self, call: Call, _: str | None) -> MustAsk | None:
        return MUST_ASK

    async def authenticate(self, call: Call) -> Principal | None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, StatusError):
            raise answer
        return answer


def call(**headers: str) -> Call:
    method = schema().methods["front.v1.Front.GetItem"]
    return Call(method, message=b"", headers=headers, peer="10.0.0.1")


@pytest.fixture
def upstream() -> Upstream:
    upstream = Upstream()
    upstream.answers(OK)
    return upstream


async def test_the_first_that_knows_who_it_is_decides(upstream: Upstream) -> None:
    guard = Authenticate([Scripted(None), Scripted(ADA), Scripted(BOB)], AuditLog())
    assert await guard(call(), upstream) is OK
    assert upstream.calls[0].principal is ADA


async def test_who_shows_nothing_is_nobody_and_goes_on(upstream: Upstream) -> None:
    audit_log = AuditLog()
    await Authenticate([Scripted(None)], audit_log)(call(), upstream)
    assert upstream.calls[0].principal is None
    assert audit_log.events == []


async def test_a_bad_credential_is_refused_even_before_one_that_is_good(upstream: Upstream) -> None:
    audit_log = AuditLog()
    guard = Authenticate([Scripted(unauthenticated("it has expired")), Scripted(ADA)], audit_log)
    with pytest.raises(StatusError, match="expired"):
        await guard(call(), upstream)
    assert upstream.calls == []
    fields = {"peer": "10.0.0.1", "rpc": "front.v1.Front/GetItem", "kind": "scripted"}
    fields["reason"] = "it has expired"
    assert audit_log.events == [("login.failed", fields)]


async def test_credentials_that_nobody_knows_are_refused(upstream: Upstream) -> None:
    with pytest.raises(StatusError) as refused:
        await Authenticate([Scripted(None)], AuditLog())(call(Authorization="Basic YTpi"), upstream)
    assert refused.value.code is Code.UNAUTHENTICATED
    assert "YTpi" not in refused.value.message


async def test_that_nobody_can_tell_is_no_failed_login(upstream: Upstream) -> None:
    audit_log = AuditLog()
    with pytest.raises(StatusError) as refused:
        await Authenticate([Scripted(cannot_check())], audit_log)(call(), upstream)
    assert refused.value.code is Code.UNAVAILABLE
    assert audit_log.events == []


def stream_guard(authenticators: Sequence[Authenticator]) -> AuthenticateStream:
    return AuthenticateStream(authenticators, AuditLog(), check_every_s=0.01)


class Streaming:
    """A back end that sends a message whenever `send` is set, and knows when it was ended."""

    def __init__(self, *, ready: bool) -> None:
        self.ready = ready
        self.sent = 0
        self.ended = asyncio.Event()

    async def __call__(self, call: Call) -> Reply:
        return Reply(messages=self._messages())

    async def _messages(self) -> AsyncGenerator[bytes]:
        try:
            while True:
                if not self.ready and self.sent:
                    await asyncio.Event().wait()
                self.sent += 1
                yield b"message"
        finally:
            self.ended.set()


async def until_refused(guard: AuthenticateStream, back_end: Streaming, call: Call) -> StatusError:
    reply = await guard(call, back_end)
    assert reply.messages is not None
    with pytest.raises(StatusError) as refused:
        await read_slowly(reply.messages)
    return refused.value


async def read_slowly(messages: AsyncGenerator[bytes]) -> None:
    async with asyncio.timeout(5):
        async for _ in messages:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("ready", [True, False], ids=["one that sends", "one that is silent"])
@pytest.mark.parametrize(
    "then", [unauthenticated("revoked"), None], ids=["revoked", "no longer known"]
)
async def test_a_stream_ends_when_its_credential_does(
    then: StatusError | None, ready: bool
) -> None:
    back_end, streaming = Streaming(ready=ready), call()
    refused = await until_refused(stream_guard([Scripted(ADA, ADA, then)]), back_end, streaming)
    assert refused.code is Code.UNAUTHENTICATED
    assert back_end.sent
    assert back_end.ended.is_set()
    streaming.end(refused.code)
    assert await nothing_runs()


class Absent(Scripted):
    """Knows at once that a call has no credential of its kind; must not be asked again."""

    def recall(self, call: Call, _: str | None) -> None:
        return None


async def test_a_stream_without_a_credential_is_not_watched() -> None:
    back_end = Streaming(ready=False)
    reply = await stream_guard([Absent(unauthenticated("asked"))])(call(), back_end)
    assert reply.messages is not None
    await anext(reply.messages)
    assert nothing_else_runs()
    await reply.messages.aclose()


async def test_another_kind_of_credential_is_refused_before_a_stream() -> None:
    guard = stream_guard([Absent(None)])
    with pytest.raises(StatusError, match="not accepted here"):
        await guard(call(Authorization="Basic YTpi"), Streaming(ready=False))


async def nothing_runs() -> bool:
    await asyncio.sleep(0)
    return nothing_else_runs()


def nothing_else_runs() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_stream_that_always_has_a_message_ends_too() -> None:
    back_end = Streaming(ready=True)
    guard = stream_guard([Scripted(ADA, unauthenticated("revoked"))])
    reply = await guard(call(), back_end)
    assert reply.messages is not None
    await anext(reply.messages)
    await until(nothing_else_runs)  # the credential was looked at again, and is lost
    with pytest.raises(StatusError, match="revoked"):
        await anext(reply.messages)


async def test_a_credential_that_is_lost_before_the_first_message_ends_the_wait() -> None:
    async def silent(call: Call) -> Reply:
        await asyncio.Event().wait()
        return OK

    guard = stream_guard([Scripted(ADA, unauthenticated("revoked"))])
    with pytest.raises(StatusError, match="revoked"):
        await asyncio.wait_for(guard(call(), silent), 5)


async def test_a_store_that_is_out_of_reach_ends_no_stream() -> None:
    answers = Scripted(ADA, cannot_check(), cannot_check(), unauthenticated("revoked"))
    refused = await until_refused(stream_guard([answers]), Streaming(ready=False), call())
    assert refused.code is Code.UNAUTHENTICATED
    assert len(answers.answers) == 1


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(lambda reply, call: reply.messages.aclose(), id="its reader leaves"),
        pytest.param(lambda reply, call: _ended(call), id="its call ends"),
    ],
)
async def test_nothing_watches_a_stream_that_is_over(
    leave: Callable[[Reply, Call], "asyncio.Future[None]"],
) -> None:
    streaming = call()
    reply = await stream_guard([Scripted(ADA)])(streaming, Streaming(ready=True))
    assert reply.messages is not None
    await anext(reply.messages)
    await leave(reply, streaming)
    assert await nothing_runs()


async def _ended(call: Call) -> None:
    call.end(Code.CANCELLED)


async def test_nothing_watches_a_stream_of_nobodys() -> None:
    back_end = Streaming(ready=True)
    reply = await stream_guard([Scripted(None)])(call(), back_end)
    assert reply.messages is not None
    assert await anext(reply.messages) == b"message"
    assert await nothing_runs()
    await reply.messages.aclose()


async def test_a_unary_answer_to_a_streaming_call_passes_as_it_is(upstream: Upstream) -> None:
    streaming = call()
    assert await stream_guard([Scripted(ADA)])(streaming, upstream) is OK
    streaming.end(Code.OK)
    assert await nothing_runs()


async def test_a_stream_that_ends_by_itself_ends() -> None:
    async def messages() -> AsyncGenerator[bytes]:
        yield b"1"
        yield b"2"

    async def back_end(call: Call) -> Reply:
        return Reply(messages=messages())

    reply = await stream_guard([Scripted(ADA)])(call(), back_end)
    assert reply.messages is not None
    assert [message async for message in reply.messages] == [b"1", b"2"]
    assert await nothing_runs()


async def test_a_time_limit_of_the_back_ends_own_is_not_taken_for_a_lost_credential() -> None:
    async def late(call: Call) -> Reply:
        raise TimeoutError

    streaming = call()
    with pytest.raises(TimeoutError):
        await stream_guard([Scripted(ADA)])(streaming, late)
    streaming.end(Code.INTERNAL)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("Bearer", "there is no token after Authorization: Bearer"),
        ("Bearer ", "there is no token after Authorization: Bearer"),
        ("bearer   ", "there is no token after Authorization: Bearer"),
        ("", "the Authorization header is empty"),
        ("Digest abc", "credentials of this kind are not accepted here"),
        ("Bearer abc", "credentials of this kind are not accepted here"),
    ],
)
async def test_an_empty_credential_is_called_empty(
    upstream: Upstream, value: str, reason: str
) -> None:
    with pytest.raises(StatusError, match=reason) as refused:
        await Authenticate([Scripted(None)], AuditLog())(call(Authorization=value), upstream)
    assert refused.value.code is Code.UNAUTHENTICATED
    assert reason in dict(refused.value.headers)["WWW-Authenticate"]


async def test_a_check_that_fails_unexpectedly_does_not_end_the_checks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Faulty(Scripted):
        checks = 0

        async def authenticate(self, call: Call) -> Principal | None:
            self.checks += 1
            if self.checks == 2:
                raise ZeroDivisionError
            return await super().authenticate(call)

    guard = stream_guard([Faulty(ADA, unauthenticated("it was revoked"))])
    refused = await until_refused(guard, Streaming(ready=True), call())
    assert refused.message == "it was revoked"
    assert "the credential of a stream could not be checked" in caplog.text


class Keyed(Scripted):
    challenge = Challenge("Keyed", "X-Key", "X-Key")


class Head(CallHead):
    """A head with a key, or one that certainly has none in a header."""

    def __init__(self, keyless: bytes) -> None:
        self.is_plain, self.keyless = True, keyless


@pytest.mark.parametrize(
    ("keyless", "replaced", "caller"),
    [
        pytest.param(b"x-key", False, None, id="not there"),
        pytest.param(b"x-other", False, ADA, id="another was looked for"),
        pytest.param(b"", False, ADA, id="none was looked for"),
        pytest.param(b"x-key", True, ADA, id="added by an interceptor"),
    ],
)
async def test_a_header_that_is_certainly_missing_is_not_looked_for(
    keyless: bytes, replaced: bool, caller: Principal | None, upstream: Upstream
) -> None:
    asked = Call(schema().methods["front.v1.Front.GetItem"], message=b"", head=Head(keyless))
    if replaced:
        asked.headers = {"X-Key": "a"}
    await chain([Authenticate([Keyed(ADA)], AuditLog())], upstream)(asked)
    assert asked.principal is caller


async def test_a_credential_of_the_connection_is_looked_for_in_each_call(
    upstream: Upstream,
) -> None:
    asked = Call(schema().methods["front.v1.Front.GetItem"], message=b"", head=Head(b""))
    await chain([Authenticate([Scripted(ADA)], AuditLog())], upstream)(asked)
    assert asked.principal is ADA
