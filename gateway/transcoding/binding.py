"""HTTP rules checked against their methods: what holds becomes a `Binding`, what does not is told.

Everything that can be wrong with a rule is found here, at start-up, so that no request can meet a
bad one. Sources: google/api/http.proto (comments on HttpRule and Http), AIP-127.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from google.protobuf.descriptor import FieldDescriptor

from gateway.config.grammar import is_token
from gateway.config.model import OnConflict, OnError, RoutingOptions
from gateway.config.selectors import check_selector, matches
from gateway.schema.catalog import HttpRule, Method, Schema, Source
from gateway.transcoding.fields import FieldPath, FieldPathError, check_path_variable, resolve
from gateway.transcoding.http_body import is_http_body
from gateway.transcoding.routing.router import Conflict, Router, RouterBuilder
from gateway.transcoding.routing.template import Template, TemplateError, parse_template

WHOLE: Final = "*"


_KNOWN_METHODS = (
    "GET HEAD POST PUT DELETE PATCH OPTIONS TRACE QUERY COPY LOCK UNLOCK MOVE MKCOL MKACTIVITY "
    "MKCALENDAR PROPFIND PROPPATCH SEARCH BIND REBIND UNBIND ACL REPORT CHECKOUT MERGE M-SEARCH "
    "NOTIFY SUBSCRIBE UNSUBSCRIBE PURGE LINK UNLINK SOURCE *"
)
"""What an HTTP parser reads as a method; llhttp's list, which ours is."""


class Severity(StrEnum):
    """Whether a diagnostic keeps the gateway from starting."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something to know about a rule: what, where it is written, and which rule it is."""

    severity: Severity
    message: str
    source: Source
    method: str
    http_method: str
    template: str

    @property
    def is_error(self) -> bool:
        """Whether the rule cannot be served."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        route = f"{self.http_method} {self.template}".strip()
        return f"{self.source}: {self.severity}: {self.method}: {route}: {self.message}"


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One alternative of a rule joined to its method, all its field paths resolved."""

    method: Method
    rule: HttpRule
    template: Template
    variables: tuple[FieldPath, ...]
    """In the order of the template."""
    body: FieldDescriptor | str | None
    """What the request's body fills: a field, "*" for the whole message, or None for no body."""
    response_body: FieldDescriptor | None
    """The field of the reply that becomes the response's body, or None for all of it."""

    @property
    def http_method(self) -> str:
        """GET, POST ... or "*" for any."""
        return self.rule.http_method

    def __repr__(self) -> str:
        return f"<Binding {self.http_method} {self.template} {self.method.full_name}>"


class _RuleError(ValueError):
    """A rule that cannot be served; the text says why and what would be right."""


def plan_routes(
    schema: Schema, options: RoutingOptions
) -> tuple[Router[Binding], list[Diagnostic]]:
    """The router over what `options` leave of `schema`, and what there is to say of its rules.

    Raises:
        SelectorError: a selector in `options` selects no method.
    """
    for name, selectors in (("prefer", options.prefer), ("exclude", options.exclude)):
        for number, selector in enumerate(selectors):
            check_selector(f"routing.{name}[{number}]", selector, schema.methods)
    bindings, diagnostics = bind(schema, on_error=options.on_error, exclude=options.exclude)
    router, conflicts = build_router(
        bindings,
        on_conflict=options.on_conflict,
        allow_nul=options.allow_nul,
        prefer=options.prefer,
    )
    return router, [*diagnostics, *conflicts]


def bind(
    schema: Schema, *, on_error: OnError = OnError.REFUSE, exclude: Sequence[str] = ()
) -> tuple[list[Binding], list[Diagnostic]]:
    """Every rule of `schema` as a binding, and what there is to say of them.

    `exclude` are selectors of methods that get none.
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
            except (_RuleError, TemplateError, FieldPathError) as error:
                diagnostics.append(_refusal(str(error), method, rule, on_error))
            else:
                bindings.append(binding)
                diagnostics += [
                    _diagnostic(Severity.WARNING, text, method, rule) for text in _doubts(binding)
                ]
    return bindings, diagnostics


def build_router(
    bindings: Iterable[Binding],
    *,
    on_conflict: OnConflict,
    allow_nul: bool = False,
    prefer: Sequence[str] = (),
) -> tuple[Router[Binding], list[Diagnostic]]:
    """The router over `bindings`, and a diagnostic for each route that two of them claim.

    `prefer` are selectors of methods that serve what others could as well, the first of them first.
    """
    builder: RouterBuilder[Binding] = RouterBuilder(last_wins=on_conflict is OnConflict.LAST)
    for binding in bindings:
        builder.add(
            binding.http_method,
            binding.template,
            binding,
            fully_decode=binding.rule.fully_decode,
            tier=_tier(binding.method, prefer),
        )
    diagnostics = [_of_conflict(conflict, on_conflict) for conflict in builder.conflicts]
    return builder.build(allow_nul=allow_nul), diagnostics


def summary(binding: Binding) -> str:
    """The method of a binding, where its rule is written, and its route."""
    route = f"{binding.http_method} {binding.rule.template}"
    return f"{binding.method.full_name} ({binding.rule.source}), {route}"


def _tier(method: Method, selectors: Sequence[str]) -> int:
    """The place of the first selector that selects `method`; behind all of them if none does."""
    for place, selector in enumerate(selectors):
        if matches(selector, method.full_name):
            return place
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
    """What is said of a rule that cannot be served."""
    if not (rule.http_method or rule.template) and len(method.rules) > 1:
        # The additional bindings of such a rule are served; only its own body leads nowhere.
        reason = (
            "a body without a pattern says nothing; additional bindings have bodies of their own"
        )
        return _diagnostic(Severity.WARNING, reason, method, rule)
    if on_error is OnError.SKIP:
        return _diagnostic(Severity.WARNING, f"{reason}; the rule is skipped", method, rule)
    return _diagnostic(Severity.ERROR, reason, method, rule)


def _bind(method: Method, rule: HttpRule) -> Binding:
    if rule.nested:
        raise _RuleError("additional bindings cannot have additional bindings of their own")
    if not rule.template:
        raise _RuleError("the rule has no pattern: give it get, put, post, delete, patch or custom")
    if rule.http_method != "*" and not is_token(rule.http_method):
        raise _RuleError(f"custom kind {rule.http_method!r} is not an HTTP method")
    template = parse_template(rule.template)
    variables = tuple(resolve(method.input, v.field_path) for v in template.variables)
    for path in variables:
        check_path_variable(path)
    body = _body(method, rule)
    _check_apart(variables, body)
    return Binding(method, rule, template, variables, body, _response_body(method, rule))


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


def _no_such_field(what: str, name: str, message: str) -> str:
    if "." in name:
        return f"{what} {name!r} is a path; it must be a field of {message} itself"
    return f"{what} {name!r} is not a field of {message}"


def _check_apart(variables: tuple[FieldPath, ...], body: FieldDescriptor | str | None) -> None:
    """Refuses variables that exclude each other or are what the body is.

    They cannot contain one another: what a variable can fill has no fields that paths reach.
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


def _doubts(binding: Binding) -> Iterator[str]:
    """What is legal but likely not meant."""
    method = binding.method
    if binding.template.deep_inside:
        yield "segments after ** are outside the grammar of google.api.http; other gateways differ"
    if binding.body is not None and binding.http_method in ("GET", "HEAD", "DELETE"):
        yield f"{binding.http_method} with a body: many clients and proxies drop it (AIP-127)"
    if binding.http_method not in _KNOWN_METHODS.split():
        yield f"{binding.http_method} is no HTTP method that parsers know: no request will get here"
    if method.client_streaming:
        yield from _doubts_of_a_stream(binding)
    if _is_list_of_raw_bodies(binding.body) or _is_list_of_raw_bodies(binding.response_body):
        yield "a list of google.api.HttpBody travels as JSON: only a single one goes raw"


def _doubts_of_a_stream(binding: Binding) -> Iterator[str]:
    """What a rule for a method that streams its request may not be meant to say."""
    kind, body = binding.method.kind, binding.body
    if binding.http_method in ("GET", "HEAD"):
        yield (
            f"a {kind} method cannot take its messages from a {binding.http_method}; "
            "over HTTP it gets one, of what the URL says; a WebSocket carries more"
        )
    elif body is None:
        yield f"a {kind} method without a body gets one message, of what the URL says: add body: *"
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
