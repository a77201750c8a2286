"""What all calls have in common, whatever carries them: how one is opened, and written down."""

import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Final

from gateway.call import Call, Deadline, Handler
from gateway.config.model import Config
from gateway.http.client_certificate import certificates_of
from gateway.http.forwarded import Forwarding
from gateway.http.messages import Request
from gateway.policy.deadlines import Deadlines
from gateway.schema.catalog import Method
from gateway.status import Code
from gateway.telemetry.logs.access import AccessLog
from gateway.transcoding.binding import Binding
from gateway.transcoding.metadata import MetadataRules
from gateway.transcoding.routing.router import Match

_time_s: Final = time.time
_monotonic_s: Final = time.monotonic


class Calls:
    """Opens the calls of matched requests and notes how requests ended."""

    def __init__(self, config: Config, handlers: Mapping[Method, Handler], log: AccessLog) -> None:
        self.handlers = handlers
        """The chain of each method."""
        self.rules = MetadataRules(config.metadata, config.auth.reserved_metadata)
        self._forwarding = Forwarding(
            config.forwarded, scheme="http" if config.tls is None else "https"
        )
        self._certificate = certificates_of(config.auth, self._forwarding)
        """Whose certificate a request counts as, or None where none is a credential."""
        self._deadlines = Deadlines(config.deadlines)
        self._log = log

    def client(self, request: Request) -> str:
        """The address of the client itself, where trusted proxies stand between."""
        return self._forwarding.client(request.peer, request.headers)

    def open(
        self,
        request: Request,
        method: Method,
        started_s: float,
        *,
        decode: Callable[[], bytes] | None = None,
        read: Callable[[], Awaitable[bytes]] | None = None,
        messages: AsyncGenerator[bytes] | None = None,
    ) -> Call:
        """The call that a request asks for: its metadata, its deadline, its message or messages.

        Raises:
            StatusError: INVALID_ARGUMENT for headers that make no sense.
        """
        fields = request.fields
        timeout_s: float | None
        if method.client_streaming or method.server_streaming:
            timeout_s = self._deadlines.stream_timeout_s(method, fields.timeout)
        else:
            timeout_s = self._deadlines.timeout_s(method, fields.timeout)
        request.deadline_s = math.inf if timeout_s is None else started_s + timeout_s
        if fields.metadata is None:
            told = self._forwarding.metadata(request.peer, request.headers)
            fields.metadata = [*self.rules.to_metadata(fields.raw), *told]
        call = Call(
            method,
            decode=decode,
            read=read,
            messages=messages,
            metadata=[*fields.metadata, ("x-request-id", request.id)],
            headers=request.headers,
            deadline=None if timeout_s is None else Deadline(request.deadline_s),
            peer=request.client,
            response_headers=request.own_headers,
        )
        if self._certificate is not None:
            call.certificate = self._certificate(request)
        return call

    def note(  # noqa: PLR0917 - one value for each column of the log
        self,
        request: Request,
        match: Match[Binding] | None,
        status: int,
        code: Code,
        response_bytes: int,
        started_s: float,
    ) -> None:
        """Writes down how a request ended: one line in the access log."""
        log = self._log
        if not log.is_open:
            return
        fields = request.fields
        log.add(
            (
                _time_s(),
                request.id,
                request.method,
                request.path,
                request.query,
                None if match is None else match.target,
                status,
                code,
                _monotonic_s() - started_s,
                request.body_bytes,
                response_bytes,
                request.peer,
                request.client,
                fields.user_agent,
                fields.traceparent,
                request.principal,
                log.shown(fields.by_name) if log.headers else (),
            )
        )
