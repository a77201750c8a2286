"""A call makes its metadata and headers only when code asks, and passes its stages in order."""

import asyncio
from collections.abc import Mapping

import pytest

from gateway.auth.authenticator import MUST_ASK, Challenge, MustAsk
from gateway.call import Call, Handler, Interceptor, Metadata, Parts, Principal, Reply, chain
from gateway.interceptors.authenticate import Authenticate
from gateway.interceptors.authorize import Authorize
from gateway.interceptors.decode import decode
from gateway.policy.options import MethodPolicy
from gateway.status import Code, Refused, StatusError
from gateway.transcoding.call_head import CallHead
from tests.support.grpc_backend import method
from tests.support.recording import AuditLog
from tests.support.upstream import Upstream


class Head(CallHead):
    """A head that counts how often metadata and headers are made of it."""

    def __init__(self) -> None:
        self.is_plain = True
        self.keyless = b""
        self.made: list[str] = []

    def block(self) -> bytes:
        """The encoded metadata."""
        return b"encoded"

    def metadata(self) -> Metadata:
        """New metadata."""
        self.made.append("metadata")
        return [("x-a", "1")]

    def headers(self) -> Mapping[str, str]:
        """New headers."""
        self.made.append("headers")
        return {"X-A": "1"}


def test_metadata_and_headers_are_made_when_they_are_first_read() -> None:
    head = Head()
    call = Call(method("Echo"), head=head)
    assert (call.unread_metadata, head.made) == (head, [])
    assert call.headers["X-A"] == "1"
    assert (call.unread_metadata, head.made) == (head, ["headers"])
    call.metadata.append(("x-b", "2"))
    assert call.metadata == [("x-a", "1"), ("x-b", "2")]
    assert (call.unread_metadata, head.made) == (None, ["headers", "metadata"])


class InParts:
    """A large message that comes in parts."""

    def take(self) -> bytes | None:
        """None: it has not arrived yet."""
        return None

    async def read(self) -> bytes | Parts:
        """The parts."""
        return [b"start", memoryview(b"rest")]

    def line(self) -> None:
        """None: it has a body."""


async def test_a_message_in_parts_is_joined_when_a_stage_reads_it() -> None:
    call = Call(method("Echo"), InParts())
    assert call.message_at_hand() is None
    await call.arrival()
    assert b"".join(call.unread) == b"startrest"  # type: ignore[arg-type]
    message = call.message_at_hand()
    assert message == b"startrest"
    assert call.decoded is await call.message() is message
    assert call.unread == b"startrest"


async def test_a_message_in_parts_can_be_added_to() -> None:
    call = Call(method("Echo"), InParts())
    await call.arrival()
    call.merge(b"more")
    assert call.unread == call.decoded == b"startrestmore"


def test_metadata_that_is_replaced_is_sent_instead_of_the_encoded() -> None:
    call = Call(method("Echo"), head=Head())
    call.metadata = []
    assert call.unread_metadata is None
    assert call.metadata == []


class Asked:
    """Finds out after a wait who calls."""

    kind = "asked"
    challenge = Challenge("Asked", "nothing that is a header")

    def __init__(self, principal: Principal | None) -> None:
        self.principal = principal

    def recall(self, call: Call, _: str | None) -> MustAsk:
        return MUST_ASK

    async def authenticate(self, call: Call) -> Principal | None:
        await asyncio.sleep(0)
        return self.principal


class LateMessage:
    """A message that arrives after a wait."""

    def take(self) -> None:
        """Not yet."""

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        return b"late"

    def line(self) -> None:
        """More than the request line decides it."""


READER = Principal("users/ada", frozenset({"read"}))


@pytest.mark.parametrize(
    ("principal", "code"),
    [
        (None, Code.UNAUTHENTICATED),
        (Principal("users/bob"), Code.PERMISSION_DENIED),
        (READER, Code.OK),
    ],
)
@pytest.mark.parametrize("is_parted", [False, True])
async def test_a_call_that_waits_in_one_check_passes_all_others(
    principal: Principal | None, code: Code, is_parted: bool
) -> None:
    async def between(call: Call, proceed: Handler) -> Reply:
        return await proceed(call)

    called, audit_log = method("Echo"), AuditLog()
    policy = MethodPolicy(scopes_all=frozenset({"read"}))
    others: list[Interceptor] = [Authorize(called, policy, audit_log, []), decode]
    first: list[Interceptor] = [Authenticate([Asked(principal)], audit_log)]
    upstream = Upstream()
    handler = chain([*first, *([between] if is_parted else []), *others], upstream)
    call = Call(called, source=LateMessage())
    if code is Code.OK:
        assert (await handler(call)).message == b"late"
    else:
        with pytest.raises(StatusError) as refused:
            await handler(call)
        assert refused.value.code is code
    assert [one.decoded for one in upstream.calls] == ([b"late"] if code is Code.OK else [])


async def test_a_call_that_waits_nowhere_is_refused_without_an_error() -> None:
    called = method("Echo")
    refuse = Authorize(called, MethodPolicy(anonymous=False), AuditLog(), [])
    upstream = Upstream()
    refused = chain([refuse, decode], upstream)(Call(called, source=LateMessage()))
    assert isinstance(refused, Refused)
    assert upstream.calls == []
