"""One RPC in flight: the call, its reply, and the one shape of everything that handles it.

Both edges meet here and only here: the front end opens a `Call`, the upstream answers a `Reply`,
and neither knows the other. What crosses is protobuf wire bytes.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.schema.catalog import Method
from gateway.status import Code
from gateway.transcoding import metadata as metadata_rules

Metadata = metadata_rules.Metadata
"""gRPC metadata in order: lower-case names; text, or bytes where the name ends in -bin."""


class Deadline:
    """The instant, on the monotonic clock, after which nobody wants the answer."""

    # A plain class: a frozen dataclass costs half a microsecond more, at every call.
    __slots__ = ("at_s",)

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def __repr__(self) -> str:
        return f"Deadline({self.at_s!r})"

    def remaining_s(self, now_s: float) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at_s - now_s)

    def has_passed(self, now_s: float) -> bool:
        """Whether it is too late."""
        return now_s >= self.at_s


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as one of the gateway's own guards established it."""

    name: str
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, str] = field(default_factory=dict)
    client: str = ""
    """The OAuth client that acts for the principal, where there is one."""
    kind: str = ""
    """What was shown: token, key, jwt, certificate."""
    credential: str = ""
    """Which one was shown: a name for it that is no secret."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client's certificate, signed by somebody who is believed."""

    names: tuple[tuple[str, str], ...]
    """The names it vouches for, each after its kind: uri, dns, email or cn."""
    fingerprint: str
    """Its SHA-256, in hexadecimal digits."""
    expires_at_s: float


class MessageSource(Protocol):
    """The one request message of a call, before it has been read and decoded."""

    def take(self) -> bytes | None:
        """The message, or None where it must be waited for.

        Raises:
            StatusError: the request is not what its method takes.
        """
        ...

    async def read(self) -> bytes:
        """The message, once all of it is there.

        Raises:
            StatusError: as `take`.
        """
        ...


class Call:
    """One RPC on its way: its method, its request, its caller and its deadline.

    The request is lazy so that no guard waits for a body: the one message of a call is decoded by
    the stage of the chain that is named so (`interceptors/decode.py`), or when an interceptor first
    awaits `message()`. A call that streams its request hands out `messages`, a generator that it
    closes when it ends. `end` is called exactly once, with the code the caller was told.
    """

    __slots__ = (
        "_ended",
        "_hooks",
        "_message",
        "_source",
        "certificate",
        "deadline",
        "headers",
        "messages",
        "metadata",
        "method",
        "peer",
        "principal",
        "response_headers",
    )

    def __init__(
        self,
        method: Method,
        *,
        message: bytes | None = None,
        source: MessageSource | None = None,
        messages: AsyncGenerator[bytes] | None = None,
        metadata: Metadata | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
        peer: str = "",
        certificate: Certificate | None = None,
        response_headers: list[tuple[str, str]] | None = None,
    ) -> None:
        self.method = method
        self.messages = messages
        self.metadata: Metadata = [] if metadata is None else metadata
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.deadline = deadline
        self.peer = peer
        self.certificate = certificate
        self.principal: Principal | None = None
        self.response_headers: list[tuple[str, str]] = (
            [] if response_headers is None else response_headers
        )
        """What guards add to the HTTP response, however the call goes; nobody else is heard on it.

        It is to be there before the guard hands the call on: a stream's response begins early.
        """
        self._message = message
        self._source = source
        self._hooks: list[Callable[[Code], None]] | None = None
        self._ended: Code | None = None

    def __repr__(self) -> str:
        state = "open" if self._ended is None else self._ended.name
        return f"<Call {self.method.full_name} {state}>"

    async def message(self) -> bytes:
        """The one message of a unary or server-streaming call, read and decoded on first use."""
        message = self.message_at_hand()
        if message is None:
            if self._source is None:
                raise RuntimeError(f"{self!r} streams its request: iterate over `messages`")
            message = self._message = await self._source.read()
        return message

    def message_at_hand(self) -> bytes | None:
        """The same, or None where it must be waited for; without waiting a call costs less."""
        if self._message is None and self._source is not None:
            self._message = self._source.take()
        return self._message

    @property
    def decoded(self) -> bytes:
        """The same, once it has been decoded: the last stages of the chain may count on it."""
        if self._message is None:
            raise RuntimeError(f"the request of {self!r} has not been decoded")
        return self._message

    def on_end(self, hook: Callable[[Code], None]) -> None:
        """Has `hook` told how the call ended. It may not wait and may not raise."""
        if self._hooks is None:
            self._hooks = [hook]
        else:
            self._hooks.append(hook)

    def end(self, code: Code) -> None:
        """Ends the call; the first ending counts, later ones are ignored."""
        if self._ended is not None:
            return
        self._ended = code
        if self._hooks is not None:
            for hook in self._hooks:
                hook(code)

    @property
    def ended(self) -> Code | None:
        """How the call ended, or None while it is under way."""
        return self._ended


class Reply:
    """What the back end answered: one message, or an async generator of them.

    `metadata` is what it sent first. `trailers` is complete once the message, or the last of the
    messages, is there. A failed call is a `StatusError`, raised instead or by the generator.
    """

    __slots__ = ("message", "messages", "metadata", "trailers")

    def __init__(
        self,
        message: bytes = b"",
        *,
        messages: AsyncGenerator[bytes] | None = None,
        metadata: Metadata | None = None,
        trailers: Metadata | None = None,
    ) -> None:
        self.message = message
        self.messages = messages
        self.metadata: Metadata = [] if metadata is None else metadata
        self.trailers: Metadata = [] if trailers is None else trailers


Handler = Callable[[Call], Awaitable[Reply]]
"""Answers a call, or raises `StatusError`."""


class Interceptor(Protocol):
    """Stands between front end and back end: passes a call on, refuses it, or watches it.

    Usually `async def`. One that need not wait may be a plain function that returns what `proceed`
    does, which saves a coroutine for each call.
    """

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Answers `call`, usually with what `proceed(call)` answers."""
        ...


def chain(interceptors: Sequence[Interceptor], last: Handler) -> Handler:
    """One handler that passes a call through `interceptors`, first to last, and then to `last`."""
    handler = last
    for interceptor in reversed(interceptors):
        handler = _link(interceptor, handler)
    return handler


def _link(interceptor: Interceptor, proceed: Handler) -> Handler:
    def handle(call: Call) -> Awaitable[Reply]:
        return interceptor(call, proceed)

    return handle
