"""Turns one HTTP request into one response, for all dialects and all endpoints.

Every request gets an id, passes the checks of the ring, and is answered by an endpoint or, through
its dialect, by a call. In every case the call is ended here exactly once, and the request is
recorded exactly once, with the code that the client received.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Coroutine
from typing import Any, Final

from gateway.audit import ORIGIN
from gateway.call import Call, Code, StatusError
from gateway.config.grammar import SECRET_START
from gateway.exchange.dialects.dialect import Dialect, RouteMatch
from gateway.exchange.dialects.websocket.handshake import move_token_to_header
from gateway.exchange.site import Site
from gateway.http.compression import compress
from gateway.http.messages import NO_FIELDS, HeaderFields, Request, Response, ResponseForm
from gateway.http.request_id import RequestIds
from gateway.http.responder import Responder

logger = logging.getLogger("gateway")

# Module constants, because looking up an enum member takes as long as a small function call.
_OK: Final = Code.OK
_INTERNAL: Final = Code.INTERNAL
_now_s: Final = time.monotonic


class Exchange(Responder):
    """Answers requests from one site."""

    def __init__(self, site: Site) -> None:
        self._ids = RequestIds()
        self.site = site

    @property
    def site(self) -> Site:
        """The site that answers new requests; it may be replaced at any time."""
        return self._site

    @site.setter
    def site(self, site: Site) -> None:
        """Replaces the site, for new requests and new connections."""
        self._site = site
        self.limits, self.speaks_websocket = site.limits, site.speaks_websocket

    def answer(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Returns the response to a request; a failure becomes a response too.

        Raises:
            CancelledError: the client has disconnected; its call has been ended and recorded.
        """
        # As machine code, a coroutine that no other class replaces is one object less.
        return self._answer(request)

    def answer_at_once(self, request: Request) -> Response | None:
        """Answers a plain GET with a stored reply, as `answer` would; None for other requests.

        It opens no call and waits for nothing, so it needs no task.
        """
        site = self._site
        route = site.rest.stored.get(request.path) if site.rest.stored else None
        if route is None or site.checks_reads:
            return None
        started_s = _now_s()
        form = site.rest.recall(request, route, started_s, site.compressed_from_bytes)
        if form is None:
            return None
        # Without `ORIGIN`, as nothing is logged but the request itself.
        self._name(site, request)
        response = form.repeated(request.own_headers, site.variant(request), request.id)
        if response is None:
            response = form.response()
            try:
                site.rendering.describe(request, route.match, response)
            except Exception as error:  # noqa: BLE001 - `_failure` logs it
                response = site.rest.fail(_failure(request, error), request)
            if not self._add_headers(site, request, response):
                response = _bare_error(site.rest, request)
        status, sent = response.status, 0 if response.status == 204 else response.body_bytes
        site.request_log.note(request, route.match, status, response.code, sent, started_s)
        return response

    async def _answer(self, request: Request) -> Response:
        started_s = _now_s()
        site = self._site
        dialect: Dialect = site.websocket if request.wants_websocket else site.rest
        match: RouteMatch | None = None
        gone: asyncio.CancelledError | None = None
        code = _OK
        try:
            self._admit(site, request)
            if request.path in site.endpoints.by_path:
                response = await site.endpoints.answer(request)
            elif isinstance(found := dialect.match(request), Response):
                response = found
            else:
                match = found
                begun = dialect.answer(request, match, started_s)
                if isinstance(begun, tuple):  # a call of REST
                    pending, encode = begun
                    begun = site.rest.render(request, match, await pending, encode)
                response = begun if isinstance(begun, Response) else await begun
            code = response.code if response.is_failure else _OK
            if not response.is_failure and response.upgrade is None:
                if response.body_bytes >= site.compressed_from_bytes and response.status != 304:
                    await compress(response, request.fields.accept_encoding, site.compression)
                if response.form is None or not _repeats(site, request, response, response.form):
                    site.rendering.describe(request, match, response)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - `_failure` sorts all
            failure, gone = _failure(request, error), _departure(request, error)
            code, response = failure.code, dialect.fail(failure, request)
        if response.sent is None and not self._add_headers(site, request, response):
            code, response = _INTERNAL, _bare_error(dialect, request)
        continues = response.stream is not None or response.upgrade is not None
        ending = _end_call(request, code, continues=continues)
        if ending is not None:
            gone = await _wait_for(request, ending) or gone
        if gone is not None:
            site.request_log.note(request, match, 499, code, 0, started_s)
            raise gone
        if not continues:  # a stream or a WebSocket is recorded when it ends
            sent = 0 if request.method == "HEAD" or response.status == 204 else response.body_bytes
            site.request_log.note(request, match, response.status, response.code, sent, started_s)
        return response

    def refuse(
        self,
        error: StatusError,
        peer: str,
        method: str = "",
        path: str = "",
        fields: HeaderFields = NO_FIELDS,
    ) -> Response:
        """Returns the response to an invalid request, and records it like any other.

        The parser or a check of the head refused it, so it has no `Request` yet.
        """
        site = self._site
        # Log only a path: an absolute request target can contain a password.
        request = Request(method, path if path.startswith("/") else "", fields, peer)
        request.id, request.http_version = self._ids.choose(None), ""
        response = site.rest.fail(error)
        if not self._add_headers(site, request, response):
            response = _bare_error(site.rest, request)
        sent = len(response.body)
        site.request_log.note(request, None, response.status, error.code, sent, _now_s())
        return response

    def _admit(self, site: Site, request: Request) -> None:
        """Sets the id and the client of a request, and runs the checks of the ring.

        The token of a handshake is moved to its header before.

        Raises:
            StatusError: a check rejects the request.
        """
        self._name(site, request)
        ORIGIN.set((request.id, request.client))
        if request.wants_websocket:
            move_token_to_header(request)
        for check in site.checks:
            check(request)
        # Most requests share fields that were checked, and have no place for a secret in their URL.
        check_credentials, path = site.check_credentials, request.path
        if check_credentials is not None and (
            request.query or "%" in path or SECRET_START in path or not request.fields.are_checked
        ):
            check_credentials(request)

    def _name(self, site: Site, request: Request) -> None:
        """Sets the id and the client of a request."""
        fields, offered = request.fields, request.fields.request_id
        request.id = offered if fields.has_id and offered else self._ids.choose(offered)
        if site.client_of is not None:
            request.client = site.client_of(request.peer, request.headers)

    def _add_headers(self, site: Site, request: Request, response: Response) -> bool:
        """Adds the headers that every response has; returns False if that failed."""
        try:
            if request.own_headers:
                response.state(request.own_headers)
            response.headers.append(("X-Request-Id", request.id))
            for hook in site.hooks:
                hook.add_headers(request, response)
            if response.form is not None:
                response.form.keep_head(response, request.own_headers, site.variant(request))
        except Exception:
            logger.exception("the headers of request %s cannot be made", request.id)
            return False
        return True


def _repeats(site: Site, request: Request, response: Response, form: ResponseForm) -> bool:
    """Gives a response the complete head of an equal one; returns False if there is none."""
    return form.repeat_head(response, request.own_headers, site.variant(request), request.id)


def _failure(request: Request, error: BaseException) -> StatusError:
    """Returns the status that a request fails with, and notes what it tells of its back end.

    Its code also ends the call.
    """
    if isinstance(error, StatusError):
        request.attempts = error.attempts
        request.back_end_failed = error.was_processed is not None
        return error
    if isinstance(error, asyncio.CancelledError):
        return request.interruption or StatusError(Code.CANCELLED, "the client has disconnected")
    logger.error("request %s failed", request.id, exc_info=error)
    return StatusError(_INTERNAL, "internal error")


def _departure(request: Request, error: BaseException) -> asyncio.CancelledError | None:
    """Returns the cancellation of a request whose client has disconnected."""
    if isinstance(error, asyncio.CancelledError) and request.interruption is None:
        return error
    return None


def _end_call(request: Request, code: Code, *, continues: bool) -> Awaitable[None] | None:
    """Ends the call of a request, unless it continues after the response's head.

    The result, if there is one, must be awaited.
    """
    call = request.open_call
    if call is None:
        return None
    # Break the reference cycle of request and call: only the garbage collector would free it.
    request.open_call = None
    if continues:
        return None
    if isinstance(call, Call):  # nearly always; as machine code, a protocol costs ten times as much
        request.principal, request.split = call.principal, call.split
        request.cache_result = call.cache_result
        request.back_end_failed = request.back_end_failed or call.back_end_failed
        call.end(code)
        return None
    request.principal = call.principal
    request.split = call.split
    request.cache_result = call.cache_result
    request.back_end_failed = request.back_end_failed or call.back_end_failed
    return call.end(code)


async def _wait_for(request: Request, ending: Awaitable[None]) -> asyncio.CancelledError | None:
    """Waits for the end of a call; returns the cancellation if the client leaves meanwhile.

    A failure of the ending is logged, because the response and the record do not depend on it.
    """
    try:
        await ending
    except asyncio.CancelledError as error:
        return error if request.interruption is None else None
    except Exception:
        logger.exception("the call of request %s failed while it ended", request.id)
    return None


def _bare_error(dialect: Dialect, request: Request) -> Response:
    """Returns the response that replaces one whose headers could not be created."""
    response = dialect.fail(StatusError(_INTERNAL, "internal error"), request)
    response.headers = [("X-Request-Id", request.id)]
    return response
