"""One RPC in progress: the call, its reply, and the one type of everything that handles it.

The front end opens a `Call`, the upstream returns a `Reply`; messages cross as wire bytes.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from mypy_extensions import mypyc_attr

from gateway.message_stream import Parts
from gateway.schema.catalog import Method
from gateway.status import Attempt, Code, Refused, StatusError, invalid_argument
from gateway.trace_context import Trace
from gateway.transcoding.call_head import CallHead, Metadata

# With the types that a call is made of, and its errors: its users need no other import for them.
__all__ = ["Attempt", "CallHead", "Code", "Metadata", "Method", "Refused", "StatusError", "Trace"]
__all__ += ["Call", "CallMetadata", "Certificate", "Check", "Deadline", "Forms", "Handler"]
__all__ += ["Interceptor", "MessageSource", "Principal", "Reply", "RequestBytes", "RequestLine"]
__all__ += ["Parts", "chain", "invalid_argument"]
RequestLine = tuple[str, str, str]
"""The HTTP method, the raw path and the raw query of a request."""


@mypyc_attr(acyclic=True, free_list_len=1)
class Deadline:
    """The instant, on the monotonic clock, after which the reply is no longer wanted."""

    __slots__ = ("at_s",)

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def remaining_s(self, now_s: float) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at_s - now_s)


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, as established by one of the gateway's guards."""

    name: str
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, str] = field(default_factory=dict)
    client: str = ""  # the OAuth client that acts for the principal, if any
    kind: str = ""  # the kind of the credential: token, key, jwt, certificate
    credential: str = ""  # a name of the credential, which is not secret


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client's certificate, signed by a trusted authority."""

    names: tuple[tuple[str, str], ...]  # each after its kind: uri, dns, email or cn
    fingerprint: str  # its SHA-256, in hexadecimal digits
    expires_at_s: float


class MessageSource(Protocol):
    """The one request message of a call, before it has been read and decoded."""

    def take(self) -> bytes | None:
        """The message, or None if it has not arrived yet.

        Raises:
            StatusError: the request is not valid for its method.
        """

    async def read(self) -> bytes | Parts:
        """The message, or its parts in order, once it is complete; raises as `take`."""

    def line(self) -> RequestLine | None:
        """The request line, if it alone decides the message; None if more does."""


CallMetadata = Metadata | CallHead
"""The metadata of a call, or the head from which it is made on demand."""
RequestBytes = bytes | AsyncGenerator[bytes]
"""The one message of a request, or all of one that streams."""


class Call:
    """One RPC: its method, its request, its caller and its deadline.

    The request is lazy, so that guards do not wait for a body: the message of a unary call is
    decoded by the stage `interceptors/decode.py`, or when an interceptor first awaits `message()`.
    A call that streams its request has `messages`, a generator that is closed when the call ends.
    `end` is called exactly once, with the code that the client received.
    """

    __slots__ = (
        *("_head", "_headers", "_hooks", "_message", "_metadata", "_source"),
        *("back_end_failed", "cache_result", "certificate", "deadline", "ended", "kept_head"),
        *("messages", "method", "peer", "principal", "response_headers", "split", "trace"),
    )

    def __init__(  # noqa: PLR0917 - by position, what each request has
        self,
        method: Method,
        source: MessageSource | None = None,
        messages: AsyncGenerator[bytes] | None = None,
        metadata: Metadata | None = None,
        head: CallHead | None = None,
        deadline: Deadline | None = None,
        peer: str = "",
        response_headers: list[tuple[str, str]] | None = None,
        trace: Trace | None = None,
        message: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        """Takes metadata and headers, or the `head` from which those not given are made."""
        self.method = method
        self.messages = messages
        self._metadata = metadata
        self._headers = headers
        self._head = head
        self.kept_head = head if headers is None else None
        """The head of its request; None once other headers have replaced those in it."""
        self.deadline, self.peer = deadline, peer
        self.certificate = certificate
        self.principal: Principal | None = None
        self.response_headers = [] if response_headers is None else response_headers
        """Headers that guards add to the HTTP response, also when the call fails. A guard must add
        them before it passes the call on: a stream's response begins early."""
        self.cache_result = ""
        """The result of the cache, for the access log; empty if it was not asked."""
        self.back_end_failed = False
        """True if its back end failed or did not answer in time, for the metrics."""
        self.trace = trace
        """The place of the call in its trace; None if the gateway makes no spans."""
        self.split: tuple[str, str] | None = None
        """The name of the split that chose the upstream, and the upstream; None without one."""
        self._message: bytes | Parts | None = message
        self._source = source
        self._hooks: list[Callable[[Code], None]] | None = None
        self.ended: Code | None = None
        """The code with which the call ended, or None while it is in progress."""

    def __repr__(self) -> str:
        state = "open" if self.ended is None else self.ended.name
        return f"<Call {self.method.full_name} {state}>"

    @property
    def metadata(self) -> Metadata:
        """The metadata for the back end; a change of the list changes what is sent."""
        if self._metadata is None:
            self._metadata = [] if self._head is None else self._head.metadata()
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: Metadata) -> None:
        """Replaces the metadata for the back end."""
        self._metadata = metadata

    @property
    def unread_metadata(self) -> CallHead | None:
        """The encoded metadata to send; None if `metadata` has been read, and may be changed."""
        head = self._head
        return head if self._metadata is None and head is not None and head.block() else None

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the request, by name in any letter case."""
        if self._headers is None:
            self._headers = {} if self._head is None else self._head.headers()
        return self._headers

    @headers.setter
    def headers(self, headers: Mapping[str, str]) -> None:
        """Replaces the header fields that later stages of the chain see."""
        self._headers = headers
        self.kept_head = None

    def header(self, name: str, lower_name: bytes) -> str | None:
        """Returns a header field that is no list, without making a dictionary of all fields."""
        if self._headers is None and self._head is not None:
            return self._head.header(lower_name)
        return self.headers.get(name)

    @property
    def target(self) -> tuple[str, str]:
        """The HTTP method and the raw path of the request; both empty if there is none."""
        return ("", "") if self._head is None else self._head.target()

    @property
    def query(self) -> str:
        """The raw query of the request; empty if there is none."""
        return "" if self._head is None else self._head.query()

    async def message(self) -> bytes:
        """The one message of a unary or server-streaming call, read and decoded on first use."""
        if self.message_at_hand() is None:
            await self.arrival()
        return self.decoded

    async def arrival(self) -> None:
        """Returns once the message has been read and decoded; call it if none is at hand."""
        if self._source is None:
            raise RuntimeError(f"{self!r} streams its request: iterate over `messages`")
        self._message = await self._source.read()

    def message_at_hand(self) -> bytes | None:
        """The message, or None if it has not arrived yet; avoids the cost of a coroutine."""
        if self._message is None and self._source is not None:
            self._message = self._source.take()
        return self.decoded if isinstance(self._message, list) else self._message

    @property
    def deciding_line(self) -> RequestLine | None:
        """The request line that decides the message; None if that is at hand, maybe changed."""
        source = self._source
        return None if source is None or self._message is not None else source.line()

    @property
    def decoded(self) -> bytes:
        """The decoded message; always set in the stages of the chain after `decode`."""
        message = self.unread
        if isinstance(message, list):
            message = self._message = b"".join(message)
        return message

    @property
    def unread(self) -> bytes | Parts:
        """The decoded message to send; in parts if it is large, and no stage has read it."""
        if self._message is None:
            raise RuntimeError(f"the request of {self!r} has not been decoded")
        return self._message

    def merge(self, wire: bytes) -> None:
        """Adds fields to the decoded message; of a singular field, the added value counts."""
        self._message = self.decoded + wire

    def on_end(self, hook: Callable[[Code], None]) -> None:
        """Calls `hook` with the final code of the call; it must not wait and must not raise."""
        if self._hooks is None:
            self._hooks = []
        self._hooks.append(hook)

    def end(self, code: Code) -> None:
        """Ends the call. Only the first code counts; later ones are ignored."""
        if self.ended is not None:
            return
        self.ended = code
        if self._hooks is not None:
            for hook in self._hooks:
                hook(code)


class Forms:
    """The forms of one stored reply, by the encoders that made them: each is made once."""

    __slots__ = ("made",)

    def __init__(self) -> None:
        self.made: dict[object, object] = {}

    def keep(self, encode: object, form: object, size_bytes: int) -> None:
        """Keeps a form, if there is room for it."""
        raise NotImplementedError

    def grow(self, size_bytes: int) -> bool:
        """Counts what a kept form takes besides; False if there is no room for it."""
        raise NotImplementedError

    def discard(self) -> None:
        """Removes the stored reply, because no response can be made of it."""
        raise NotImplementedError


class Reply:
    """The back end's reply: one message, or an async generator of messages.

    `metadata` is the initial metadata. `trailers` is complete when the message, or the last of the
    messages, has arrived. A failed call raises a `StatusError`, directly or from the generator.
    A stage that has it at hand returns it: it can be awaited like a coroutine, also by a task.
    """

    __slots__ = ("attempts", "forms", "message", "messages", "metadata", "share", "trailers")

    def __init__(
        self,
        message: bytes = b"",
        messages: AsyncGenerator[bytes] | None = None,
        metadata: Metadata | None = None,
        trailers: Metadata | None = None,
    ) -> None:
        self.message = message
        self.messages = messages
        self.metadata: Metadata = [] if metadata is None else metadata
        self.trailers: Metadata = [] if trailers is None else trailers
        self.attempts: Sequence[Attempt] = ()
        """The attempts of the call, the one that answered at the end; empty for one."""
        self.share: object = None
        """An object of the channel, kept while this reply is in memory; None for small ones."""
        self.forms: Forms | None = None
        """The forms of a stored reply, each for equal parts only; None if it is not stored."""

    def __await__(self) -> Generator[Any, Any, "Reply"]:
        yield from ()
        return self

    def send(self, _: object) -> NoReturn:
        """Returns itself: the first step of a task that runs this as its coroutine."""
        raise StopIteration(self)

    def throw(self, error: BaseException, *_: object) -> NoReturn:
        """Raises `error`, with which a task was cancelled before its first step."""
        raise error

    def close(self) -> None:
        """Does nothing, as nothing has begun."""


Handler = Callable[[Call], Awaitable[Reply]]
"""Returns the reply to a call, or raises `StatusError`."""


class Interceptor(Protocol):
    """A stage between front end and back end: passes a call on, rejects it, or observes it.

    Usually `async def`; a plain function can return `proceed(call)` if it does not wait.
    """

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Returns the reply to `call`, usually the result of `proceed(call)`."""


class Check:
    """A stage that has nothing to do after the reply, and most often need not wait.

    Checks that follow each other are one stage: as machine code, a stage costs more than many
    checks.
    """

    __slots__ = ()

    def check(self, call: Call) -> Awaitable[object] | None:
        """Returns None to pass a call on; or what must be awaited before, which may be `Refused`.

        Raises:
            StatusError: the call is rejected.
        """
        raise NotImplementedError

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call that passes the check."""
        return _behind((self,), proceed)(call)


async def _wait_and_proceed(
    pending: Awaitable[object], call: Call, others: tuple[Check, ...], proceed: Handler
) -> Reply:
    await pending
    return await _behind(others, proceed)(call)


def chain(interceptors: Sequence[Interceptor], last: Handler) -> Handler:
    """One handler that passes a call through `interceptors`, first to last, and then to `last`."""
    handler, checks = last, list[Check]()
    for interceptor in reversed(interceptors):
        if isinstance(interceptor, Check):
            checks.insert(0, interceptor)
            continue
        handler, checks = Link(interceptor, _behind(tuple(checks), handler)), []
    return _behind(tuple(checks), handler)


def _behind(checks: tuple[Check, ...], proceed: Handler) -> Handler:
    if not checks:
        return proceed

    def handle(call: Call) -> Awaitable[Reply]:
        for number, one in enumerate(checks):
            pending = one.check(call)
            if pending is not None:
                if isinstance(pending, Refused):
                    return pending
                return _wait_and_proceed(pending, call, checks[number + 1 :], proceed)
        return proceed(call)

    return handle


class Link:
    """A stage of a chain, and the handler behind it."""

    __slots__ = ("_proceed", "interceptor")

    def __init__(self, interceptor: Interceptor, proceed: Handler) -> None:
        self.interceptor = interceptor
        self._proceed = proceed

    def __call__(self, call: Call) -> Awaitable[Reply]:
        """Passes a call to the stage."""
        return self.interceptor(call, self._proceed)
