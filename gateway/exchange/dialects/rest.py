"""The REST dialect: calls methods by their HTTP rules (google/api/http.proto)."""

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final

from gateway.cache.entries import KnownLine, Recalling
from gateway.call import Link, Method
from gateway.exchange.calls import RequestMessage, RouteMatch
from gateway.exchange.dialects.dialect import Begun, Dialect, Encoder, Reply
from gateway.exchange.dialects.parts import DialectParts
from gateway.exchange.endpoints import options_answer
from gateway.exchange.worker_threads import LARGE_BYTES, run_in_thread
from gateway.http.conditions import add_tag, under_conditions
from gateway.http.messages import Request, Response, ResponseForm
from gateway.status import Code, Refused, StatusError, UnreadableReplyError
from gateway.transcoding.routing.differences import SHOWN_LENGTH, no_match, no_route

_READS: Final = ("GET", "HEAD")
_HIT: Final = "hit"
_STORED: Final = (_HIT, "stale")
"""The results of the cache for which the back end is not asked."""
# A constant, because looking up an enum member takes as long as a small function call.
_NOT_FOUND: Final = Code.NOT_FOUND
_MOST_PATHS: Final = 1024
_LONGEST_PATH: Final = 256
_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

AnswerStream = Callable[[Request, RouteMatch, float], Awaitable[Response]]
"""Answers a request for a method that streams; see `Dialect.answer`."""


class StoredRoute:
    """The match of a path of stored replies, and what finds these without a call, if anything."""

    __slots__ = ("_known", "_query", "match", "stage")

    def __init__(self, match: RouteMatch, stage: Recalling | None) -> None:
        self.match = match
        self.stage = stage
        self._query = ""
        self._known: KnownLine | None = None
        """The line that was asked for last, with `_query`."""

    def known(self, request: Request, stage: Recalling) -> KnownLine | None:
        """Returns the line of a plain GET with this path, if it is known to have a reply."""
        known = self._known
        if known is None or known.entry is None or self._query != request.query:
            known = stage.find((request.method, request.path, request.query))
            self._known, self._query = known, request.query
        return known


class RestDialect(Dialect):
    """Matches requests to methods by HTTP method and path, and answers them."""

    def __init__(
        self,
        parts: DialectParts,
        answer_stream: AnswerStream,
        tagged: AbstractSet[Method] = frozenset(),
    ) -> None:
        """`tagged` are the methods whose responses get entity tags of the gateway.

        Conditions are evaluated for them, or for all replies with a tag if `resources` says so.
        """
        self._transcoder = parts.transcoder
        self._router = parts.transcoder.router
        self._plans = parts.transcoder.plans
        self._calls = parts.calls
        self._chains = parts.calls.chains
        self._rendering = parts.rendering
        self._answer_stream = answer_stream
        self._masks = parts.log.masks
        self._tagged = frozenset(tagged)
        self._judges_etags = parts.config.resources.has_etags
        self.stored: dict[str, StoredRoute] = {}
        """The routes of paths of stored replies, for the next GETs of them."""

    def match(self, request: Request) -> RouteMatch | Response:
        """Returns the binding that serves a request, or the failure; see `Dialect.match`."""
        found = self.stored.get(request.path)
        if found is not None and request.method == "GET":
            return found.match
        if request.path == "*":
            raise options_answer(_METHODS)
        try:
            match = self._router.find(request.method, request.path)
        except StatusError as error:
            if request.method == "OPTIONS" and error.code is not Code.INVALID_ARGUMENT:
                allowed = self._transcoder.allowed_methods(request.path)
                if allowed:
                    raise options_answer(allowed) from None
            if request.method == "POST":
                form_type = request.fields.content_type
                match = self._transcoder.match_posted_form(request.path, form_type)
                if match is not None:
                    return match
            if self._hides(request.path):
                raise _without_path(error) from None
            raise
        if match is None:
            return self._missed(request)
        return match

    def _missed(self, request: Request) -> Response:
        """Returns the 404 of a path that no binding serves."""
        method, path = request.method, request.path
        if self._hides(path):
            return self._rendering.failure(_without_path(no_match(method, path)), request)
        if len(method) + len(path) <= SHOWN_LENGTH:  # the usual case
            text = no_route(method, path)
            response = self._rendering.plain_failure(_NOT_FOUND, text, request)
            if response is not None:
                return response
        return self._rendering.failure(no_match(method, path), request)

    def _hides(self, path: str) -> bool:
        """True if a path that no binding serves may contain a secret."""
        masks = self._masks
        return masks.hides_anything and masks.mask(path, None) != path

    def answer(
        self, request: Request, match: RouteMatch, started_s: float
    ) -> Begun | Response | Awaitable[Response]:
        """Begins a call, or returns the response to it; see `Dialect.answer`."""
        method = match.target.method
        if method.streams:
            return self._answer_stream(request, match, started_s)
        accept, form = request.fields.accept, None
        if self._transcoder.has_system_parameters:
            asked = self._transcoder.asked(match, request.query, request.headers)
            accept, form = asked.media_type_or(accept), asked.form
        plan = self._plans.get(match.target) or self._transcoder.plan(match)
        encode = plan.encode if accept in plan.accepted else plan.encoder(accept)
        if form is not None:
            encode = self._transcoder.encoder(match, accept, form)
        source = RequestMessage(plan.decoder, request, match)
        call = self._calls.open(request, method, started_s, source=source)
        request.open_call = call
        pending = self._chains[method](call)
        if isinstance(pending, Reply):  # a stage had it at hand: no coroutine is needed
            response = self._kept(request, match, pending, encode)
            if response is not None:
                return response
        # Rendered at once, because to raise an error costs a tenth of the whole answer.
        elif isinstance(pending, Refused):
            return self._rendering.refusal(pending, request)
        return pending, encode

    def fail(self, error: StatusError, request: Request | None = None) -> Response:
        """Returns the response for a failure; see `Dialect.fail`."""
        return self._rendering.failure(error, request)

    def recall(
        self, request: Request, route: StoredRoute, now_s: float, below_bytes: int
    ) -> ResponseForm | None:
        """Returns the form of the response to a plain GET with a stored reply.

        The request gets what a call of it would. None if a call must be opened, or the body is not
        smaller than `below_bytes`.
        """
        fields, stage = request.fields, route.stage
        if request.method != "GET" or request.body is not None or not fields.is_plain:
            return None
        # A call reads these two fields; and it may have a system parameter.
        if fields.timeout is not None or fields.content_type is not None or stage is None:
            return None
        if self._transcoder.has_system_parameters:
            return None
        known = route.known(request, stage)
        entry = None if known is None else stage.recall(known, request.path, now_s)
        if entry is None or entry.forms is None:
            return None
        plan, accept = self._transcoder.plan(route.match), fields.accept
        try:
            encode = plan.encode if accept in plan.accepted else plan.encoder(accept)
        except StatusError:  # the call fails
            return None
        form = entry.forms.made.get(encode)
        if not isinstance(form, ResponseForm) or form.body_bytes >= below_bytes:
            return None
        request.own_headers = stage.count_hit(entry, now_s)
        request.cache_result = _HIT
        return form

    def render(
        self, request: Request, match: RouteMatch, reply: Reply, encode: Encoder
    ) -> Response | Awaitable[Response]:
        """Returns the response to the reply of a call, or what must be awaited for it.

        Raises:
            StatusError: the reply cannot be rendered.
        """
        request.attempts = reply.attempts
        is_small = len(reply.message) < LARGE_BYTES
        if reply.forms is None and is_small and not (self._tagged or self._judges_etags):
            return self._rendering.reply(reply, encode)  # the usual case
        response = self._kept(request, match, reply, encode)
        return self._rendered(request, match, reply, encode) if response is None else response

    async def _rendered(
        self, request: Request, match: RouteMatch, reply: Reply, encode: Encoder
    ) -> Response:
        """Returns the response to a reply that is large, judged or stored."""
        is_judged = request.method in _READS and self._is_judged(match.target.method, reply)
        response = await self._render(match, reply, encode, is_judged=is_judged)
        if reply.forms is not None and request.method in _READS:
            self._rendering.keep(reply.forms, reply, encode, response)
            self._remember(request, match)
        if is_judged and request.fields.may_be_conditional:
            return self._under_conditions(request, match, response)
        return response

    def _kept(
        self, request: Request, match: RouteMatch, reply: Reply, encode: Encoder
    ) -> Response | None:
        """Returns a response like one that was made of an equal reply; None without one."""
        # A POST has no tag, so its response is not like that to a GET.
        if reply.forms is None or request.method not in _READS:
            return None
        response = self._rendering.kept(reply.forms, reply, encode)
        if response is None or not request.fields.may_be_conditional:
            return response
        if self._is_judged(match.target.method, reply):
            return self._under_conditions(request, match, response)
        return response

    def _under_conditions(
        self, request: Request, match: RouteMatch, response: Response
    ) -> Response:
        call = request.open_call
        is_stored = call is not None and call.cache_result in _STORED
        is_raw = match.target.answers_raw
        return under_conditions(request, response, is_raw=is_raw, is_stored=is_stored)

    async def _render(
        self, match: RouteMatch, reply: Reply, encode: Encoder, *, is_judged: bool
    ) -> Response:
        """Renders a reply, in a thread if it is large; one that is judged gets its entity tag."""
        render: Callable[[], Response] = partial(self._rendering.reply, reply, encode)
        if is_judged and match.target.method in self._tagged:
            render = partial(_tagged, render)
        is_large = len(reply.message) >= LARGE_BYTES
        in_thread = is_large and (is_judged or not match.target.answers_raw)
        try:
            return await run_in_thread(render) if in_thread else render()
        except UnreadableReplyError:
            if reply.forms is not None:
                reply.forms.discard()  # the next reply of the back end may be right
            raise

    def _remember(self, request: Request, match: RouteMatch) -> None:
        """Remembers the match of a path; too many are forgotten together."""
        if request.method == "GET" and len(request.path) <= _LONGEST_PATH:
            if len(self.stored) >= _MOST_PATHS:
                self.stored.clear()
            first = self._chains[match.target.method]
            stage = _recalling(first.interceptor) if isinstance(first, Link) else None
            self.stored[request.path] = StoredRoute(match, stage)

    def _is_judged(self, method: Method, reply: Reply) -> bool:
        """True if the conditions of a GET or HEAD are evaluated against the response."""
        has_tag = self._judges_etags and any(name == "etag" for name, _ in reply.metadata)
        return has_tag or method in self._tagged


def _recalling(stage: object) -> Recalling | None:
    """Returns a stage, if it finds replies before calls are opened."""
    # Of any object: as machine code, nothing that is typed as an interceptor is of this class.
    return stage if isinstance(stage, Recalling) else None


def _tagged(render: Callable[[], Response]) -> Response:
    """Adds an entity tag, in the thread that renders: it takes a pass over the body."""
    response = render()
    add_tag(response)
    return response


def _without_path(error: StatusError) -> StatusError:
    """Returns the same error without the path, which may contain a secret."""
    return StatusError(
        error.code,
        "no route for this request, whose path is not shown",
        http_status=error.http_status,
        headers=error.headers,
    )
