"""Checks HTTP rules against their methods: a valid rule becomes a `Binding`, others a diagnostic.

Every error in a rule is found here, at start-up, so that no request can reach an invalid one.
Sources: google/api/http.proto (comments on HttpRule and Http), AIP-127.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from google.protobuf.descriptor import FieldDescriptor

from gateway.config.grammar import is_token
from gateway.config.routing import (
    AfterDeep,
    EscapedSlashes,
    KeepEscaped,
    OnConflict,
    OnError,
    RoutingOptions,
    TrailingSlashes,
    Verbs,
    WrongMethod,
)
from gateway.config.selectors import check_selector, matches
from gateway.schema.catalog import HttpRule, Method, Schema, Source
from gateway.transcoding.fields import FieldPath, FieldPathError, check_path_variable, resolve
from gateway.transcoding.http_body import is_http_body
from gateway.transcoding.routing.path_options import PathOptions
from gateway.transcoding.routing.percent import (
    decode,
    decode_keeping_reserved,
    decode_keeping_slashes,
)
from gateway.transcoding.routing.router import Conflict, Match, Router, RouterBuilder
from gateway.transcoding.routing.template import Template, TemplateError, Wildcard, parse_template

__all__ = ["KNOWN_METHODS", "WHOLE", "Binding", "Diagnostic", "FieldPath", "Method", "Schema"]
__all__ += ["RouteMatch", "Severity", "bind", "build_router", "path_to", "plan_routes", "summary"]

WHOLE: Final = "*"

_DECODE_MANY: Final = {
    KeepEscaped.SLASH: decode_keeping_slashes,
    KeepEscaped.RESERVED: decode_keeping_reserved,
    KeepEscaped.NONE: decode,
}

_WRONG_METHOD: Final = {
    WrongMethod.NOT_ALLOWED: 405,
    WrongMethod.NOT_FOUND: 404,
    WrongMethod.NOT_IMPLEMENTED: 501,
}

_LISTED_METHODS = (
    "GET HEAD POST PUT DELETE PATCH OPTIONS TRACE QUERY COPY LOCK UNLOCK MOVE MKCOL MKACTIVITY "
    "MKCALENDAR PROPFIND PROPPATCH SEARCH BIND REBIND UNBIND ACL REPORT CHECKOUT MERGE M-SEARCH "
    "NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE LINK UNLINK SOURCE *"
)
KNOWN_METHODS = frozenset(_LISTED_METHODS.split())
"""The HTTP methods that the parser accepts: llhttp's list."""


class Severity(StrEnum):
    """The weight of a diagnostic: an error keeps the gateway from starting."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A finding about a rule: the message, its place, and the rule itself."""

    severity: Severity
    message: str
    source: Source
    method: str
    http_method: str
    template: str

    @property
    def is_error(self) -> bool:
        """True if the rule cannot be served."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        route = f"{self.http_method} {self.template}".strip()
        parts = (str(self.source), self.severity, self.method, route, self.message)
        return ": ".join(filter(None, parts))


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One alternative of a rule joined to its method, all its field paths resolved."""

    method: Method
    rule: HttpRule
    template: Template
    variables: tuple[FieldPath, ...]
    """In the order of the template."""
    body: FieldDescriptor | str | None
    """The target of the request's body: a field, "*" for the whole message, None for no body."""
    response_body: FieldDescriptor | None
    """The field of the reply that becomes the response's body, or None for the whole reply."""
    answers_raw: bool
    """True if the reply is the back end's raw bytes with its media type, instead of JSON."""

    @property
    def http_method(self) -> str:
        """GET, POST ... or "*" for any."""
        return self.rule.http_method

    def __repr__(self) -> str:
        return f"<Binding {self.http_method} {self.template} {self.method.full_name}>"


RouteMatch = Match[Binding]
"""The route that serves a request, and the values of the variables in its path."""


class _RuleError(ValueError):
    """A rule cannot be served; the text says why, and what is valid."""


def plan_routes(
    schema: Schema, options: RoutingOptions
) -> tuple[Router[Binding], list[Diagnostic]]:
    """Builds the router of the methods that `options` leave of `schema`, and the diagnostics.

    Raises:
        SelectorError: a selector in `options` selects no method.
    """
    for name, selectors in (("prefer", options.prefer), ("exclude", options.exclude)):
        for number, selector in enumerate(selectors):
            check_selector(f"routing.{name}[{number}]", selector, schema.methods)
    bindings, diagnostics = bind(
        schema,
        on_error=options.on_error,
        exclude=options.exclude,
        refuses_wildcards_after_deep=options.after_deep is AfterDeep.LITERALS,
    )
    router, conflicts = build_router(
        bindings,
        on_conflict=options.on_conflict,
        prefer=options.prefer,
        keep_escaped=options.keep_escaped,
        paths=PathOptions(
            allow_nul=options.allow_nul,
            splits_escaped=options.escaped_slashes is EscapedSlashes.SPLIT,
            trims_slashes=options.trailing_slashes is TrailingSlashes.IGNORE,
            keeps_verbs=options.verbs is Verbs.REGISTERED,
            every_verb=options.verbs is Verbs.ALL,
            wrong_method_status=_WRONG_METHOD[options.wrong_method],
        ),
    )
    return router, [*diagnostics, *conflicts]


def bind(
    schema: Schema,
    *,
    on_error: OnError = OnError.REFUSE,
    exclude: Sequence[str] = (),
    refuses_wildcards_after_deep: bool = False,
) -> tuple[list[Binding], list[Diagnostic]]:
    """Makes a binding of every rule of `schema`, and diagnostics about the rules.

    `exclude` are selectors of methods that get no binding. With `refuses_wildcards_after_deep`, a
    template with `*` after `**` cannot be served.
    """
    bindings: list[Binding] = []
    diagnostics: list[Diagnostic] = [
        Diagnostic(Severity.WARNING, f"{reason}; the rule is skipped", source, selector, "", "")
        for selector, (source, reason) in schema.unmatched.items()
    ]
    for method in schema.methods.values():
        if _tier(method, exclude) < len(exclude):
            continue
        for rule in method.rules:
            try:
                binding = _bind(method, rule)
                if refuses_wildcards_after_deep:
                    _check_after_deep(binding.template)
            except (_RuleError, TemplateError, FieldPathError) as error:
                diagnostics.append(_refusal(str(error), method, rule, on_error))
            else:
                bindings.append(binding)
                diagnostics += [
                    _diagnostic(Severity.WARNING, text, method, rule) for text in _warnings(binding)
                ]
    return bindings, diagnostics


def build_router(
    bindings: Iterable[Binding],
    *,
    on_conflict: OnConflict,
    prefer: Sequence[str] = (),
    keep_escaped: KeepEscaped = KeepEscaped.SLASH,
    paths: PathOptions | None = None,
) -> tuple[Router[Binding], list[Diagnostic]]:
    """Builds the router of `bindings`, and a diagnostic for each route that two of them claim.

    `prefer` are selectors of methods that win over others on the same paths, the first one first.
    """
    builder: RouterBuilder[Binding] = RouterBuilder(
        last_wins=on_conflict is OnConflict.LAST, decode_many=_DECODE_MANY[keep_escaped]
    )
    for binding in bindings:
        builder.add(
            binding.http_method,
            binding.template,
            binding,
            fully_decode=binding.rule.fully_decode,
            tier=_tier(binding.method, prefer),
        )
    diagnostics = [_of_conflict(conflict, on_conflict) for conflict in builder.conflicts]
    return builder.build(paths), diagnostics


def path_to(bindings: Iterable[Binding], method: str, value: str) -> str | None:
    """Returns the path for GET that calls a method with `value` in its one path variable.

    `method` is a full name. None if no binding has such a path.
    """
    for binding in bindings:
        if binding.method.full_name == method and binding.http_method == "GET":
            path = binding.template.path_with(value)
            if path is not None:
                return path
    return None


def summary(binding: Binding) -> str:
    """The method of a binding, the place of its rule, and its route, as text."""
    route = f"{binding.http_method} {binding.rule.template}"
    return f"{binding.method.full_name} ({binding.rule.source}), {route}"


def _tier(method: Method, selectors: Sequence[str]) -> int:
    """The index of the first selector that selects `method`; the number of selectors if none."""
    for index, selector in enumerate(selectors):
        if matches(selector, method.full_name):
            return index
    return len(selectors)


def _of_conflict(conflict: Conflict[Binding], on_conflict: OnConflict) -> Diagnostic:
    is_decided = conflict.is_preferred or on_conflict is not OnConflict.REFUSE
    first, second = conflict.first, conflict.second
    return _diagnostic(
        Severity.WARNING if is_decided else Severity.ERROR,
        f"the same route as {summary(first)}" + (", which serves it" if is_decided else ""),
        second.method,
        second.rule,
    )


def _refusal(reason: str, method: Method, rule: HttpRule, on_error: OnError) -> Diagnostic:
    """The diagnostic for a rule that cannot be served."""
    if not (rule.http_method or rule.template) and len(method.rules) > 1:
        # The additional bindings of such a rule are served; only its own body has no effect.
        reason = "a body without a pattern has no effect; each additional binding has its own body"
        return _diagnostic(Severity.WARNING, reason, method, rule)
    if on_error is OnError.SKIP:
        return _diagnostic(Severity.WARNING, f"{reason}; the rule is skipped", method, rule)
    return _diagnostic(Severity.ERROR, reason, method, rule)


def _bind(method: Method, rule: HttpRule) -> Binding:
    if rule.nested:
        raise _RuleError("an additional binding cannot have additional bindings")
    if not rule.template:
        raise _RuleError("the rule has no pattern: give it get, put, post, delete, patch or custom")
    if rule.http_method != "*" and not is_token(rule.http_method):
        raise _RuleError(f"custom kind {rule.http_method!r} is not an HTTP method")
    template = parse_template(rule.template)
    variables = tuple(resolve(method.input, v.field_path) for v in template.variables)
    for path in variables:
        check_path_variable(path)
    body = _body(method, rule)
    _check_disjoint(variables, body)
    response_body = _response_body(method, rule)
    is_raw = _is_raw(method, response_body)
    return Binding(method, rule, template, variables, body, response_body, is_raw)


def _check_after_deep(template: Template) -> None:
    deep = template.deep_at
    if deep is not None and any(isinstance(s, Wildcard) for s in template.segments[deep + 1 :]):
        raise _RuleError("a wildcard after **, which routing.after_deep: literals refuses")


def _body(method: Method, rule: HttpRule) -> FieldDescriptor | str | None:
    if rule.body in ("", WHOLE):
        return rule.body or None
    field = method.input.fields_by_name.get(rule.body)
    if field is None:
        raise _RuleError(_no_such_field("body", rule.body, method.input.full_name))
    return field


def _response_body(method: Method, rule: HttpRule) -> FieldDescriptor | None:
    if not rule.response_body:
        return None
    field = method.output.fields_by_name.get(rule.response_body)
    if field is None:
        raise _RuleError(
            _no_such_field("response_body", rule.response_body, method.output.full_name)
        )
    return field


def _is_raw(method: Method, field: FieldDescriptor | None) -> bool:
    if field is None:
        return is_http_body(method.output)
    return is_http_body(field.message_type) and not field.is_repeated


def _no_such_field(what: str, name: str, message: str) -> str:
    if "." in name:
        return f"{what} {name!r} is a path; it must be a field of {message} itself"
    return f"{what} {name!r} is not a field of {message}"


def _check_disjoint(variables: tuple[FieldPath, ...], body: FieldDescriptor | str | None) -> None:
    """Rejects variables that exclude each other or that are the body's field.

    They cannot contain one another: the field of a variable has no fields that paths reach.
    """
    for number, path in enumerate(variables):
        for other in variables[:number]:
            if _excludes(path, other):
                raise _RuleError(f"{other.text} and {path.text} are members of one oneof")
        if isinstance(body, FieldDescriptor):
            if path.numbers == (body.number,):
                raise _RuleError(f"{path.text} is both a variable and the body")
            if _excludes(path, FieldPath((body,))):
                raise _RuleError(f"{path.text} and the body {body.name} are members of one oneof")


def _excludes(path: FieldPath, other: FieldPath) -> bool:
    chosen = dict(path.choices())
    return any(chosen.get(oneof, member) != member for oneof, member in other.choices())


def _warnings(binding: Binding) -> Iterator[str]:
    """Yields warnings about rules that are legal but probably a mistake."""
    method = binding.method
    if binding.template.deep_inside:
        yield "segments after ** are outside the grammar of google.api.http; other gateways differ"
    if binding.body is not None and binding.http_method in ("GET", "HEAD", "DELETE"):
        yield f"{binding.http_method} with a body: many clients and proxies drop it (AIP-127)"
    if binding.http_method not in KNOWN_METHODS:
        yield f"{binding.http_method} is not a method that HTTP parsers accept: it gets no request"
    if method.client_streaming:
        yield from _stream_warnings(binding)
    if _is_list_of_raw_bodies(binding.body) or _is_list_of_raw_bodies(binding.response_body):
        yield "a list of google.api.HttpBody is sent as JSON: only a single one is sent raw"


def _stream_warnings(binding: Binding) -> Iterator[str]:
    """Yields warnings about a rule of a method that streams its request."""
    kind, body = binding.method.kind, binding.body
    if binding.http_method in ("GET", "HEAD"):
        yield (
            f"a {kind} method cannot read its messages from a {binding.http_method}; "
            "over HTTP it gets one message, from the URL; a WebSocket can carry more"
        )
    elif body is None:
        yield f"a {kind} method without a body gets one message, from the URL: add body: *"
    if not isinstance(body, FieldDescriptor):
        return
    if body.is_repeated:
        yield f"each message of the stream would be a list of {body.name}; body is usually *"
    elif not is_http_body(body.message_type):
        yield f"each message of the stream would be a {body.name}; body is usually *"


def _is_list_of_raw_bodies(field: FieldDescriptor | str | None) -> bool:
    return (
        isinstance(field, FieldDescriptor)
        and field.is_repeated
        and is_http_body(field.message_type)
    )


def _diagnostic(severity: Severity, message: str, method: Method, rule: HttpRule) -> Diagnostic:
    return Diagnostic(
        severity, message, rule.source, method.full_name, rule.http_method, rule.template
    )
