"""The catalog of methods: builds a `Schema` from one `FileDescriptorSet`."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar, cast

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)
from google.protobuf.descriptor_pool import DescriptorPool

from gateway.config.selectors import StartUpError, complaint, matches, matches_service
from gateway.schema.comments import NO_COMMENTS, Comments, collect_comments
from gateway.schema.system_parameters import SystemParameter, SystemParameterRule

__all__ = ["ByMethod", "HttpRule", "Method", "RuleOverrides", "Schema", "StartUpError"]
__all__ += ["SchemaError", "Source", "build_schema", "files_of", "flatten"]

T = TypeVar("T")

_SAFE_LEVELS = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)
"""The values of `idempotency_level` with which a call may be processed twice."""


class SchemaError(StartUpError):
    """Descriptors or rules cannot be used; the text says which file and why."""


@dataclass(frozen=True, slots=True)
class Source:
    """A place in a .proto or service-config file, with the line if it is known."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One alternative of a google.api.HttpRule; `http_method` is "*" for any method."""

    http_method: str
    template: str
    body: str
    response_body: str
    source: Source
    fully_decode: bool = False
    nested: bool = False
    """True if it is an additional binding of an additional binding, which is an error."""


_KINDS = {
    (False, False): "unary",
    (False, True): "server streaming",
    (True, False): "client streaming",
    (True, True): "bidi",
}
"""The name of each kind, by (client streams, server streams)."""


@dataclass(slots=True, eq=False, repr=False)
class Method:
    """An RPC: names, types, kind, and its HTTP rules in order. Compared and hashed by identity."""

    service: str
    name: str
    input: Descriptor
    output: Descriptor
    client_streaming: bool
    server_streaming: bool
    rules: tuple[HttpRule, ...]
    source: Source
    options: tuple[bytes, bytes] = (b"", b"")
    """Its service's ServiceOptions and its own MethodOptions, encoded: as messages they would keep
    the whole descriptor set in memory."""
    has_keys: bool = False
    """True if its back end does each call once, by the idempotency key that the call has."""
    system_parameters: tuple[SystemParameter, ...] = ()
    """Those to which a service config gives names for this method."""
    streams: bool = field(init=False)
    """True if its requests or its replies are a stream."""
    full_name: str = field(init=False)
    """The name as in a selector: `library.v1.LibraryService.GetBook`."""
    path: str = field(init=False)
    """The path as gRPC sends it: `/library.v1.LibraryService/GetBook`."""

    def __post_init__(self) -> None:
        """Sets what its kind and its names say."""
        self.streams = self.client_streaming or self.server_streaming
        self.full_name = f"{self.service}.{self.name}"
        self.path = f"/{self.service}/{self.name}"

    def __repr__(self) -> str:
        return f"<Method {self.full_name}, {self.kind}>"

    @property
    def kind(self) -> str:
        """One of unary, server streaming, client streaming, bidi."""
        return _KINDS[self.client_streaming, self.server_streaming]

    @property
    def may_repeat(self) -> bool:
        """True if processing a call twice does no harm.

        Its `idempotency_level` (descriptor.proto) decides. Without one, a method counts if all its
        HTTP rules are GET without a body: such methods have no side effects (RFC 9110 section
        9.2.1).
        """
        if self.has_keys:
            return True
        level = self._idempotency_level()
        if level != MethodOptions.IDEMPOTENCY_UNKNOWN:
            return level in _SAFE_LEVELS
        return self.is_bound_by(())

    def is_bound_by(self, verbs: Collection[str]) -> bool:
        """True if each of its HTTP rules has one of these HTTP methods, or is GET without a body,
        and there is one."""
        return bool(self.rules) and all(
            one.http_method in verbs or (one.http_method == "GET" and not one.body)
            for one in self.rules
        )

    def with_keys(self) -> "Method":
        """Returns the method of calls that its back end does once for each idempotency key."""
        return replace(self, has_keys=True)

    @property
    def declares_repeatable(self) -> bool:
        """True if its `idempotency_level` says that two calls do no more than one."""
        return self._idempotency_level() in _SAFE_LEVELS

    @property
    def has_no_side_effects(self) -> bool:
        """True if a call changes nothing, so that its reply can be sent to others.

        It decides as `may_repeat`, but IDEMPOTENT methods change something.
        """
        level = self._idempotency_level()
        if level != MethodOptions.IDEMPOTENCY_UNKNOWN:
            return level == MethodOptions.NO_SIDE_EFFECTS
        return self.is_bound_by(())

    @property
    def may_be_copied(self) -> bool:
        """True if nobody but the caller sees that a call was made, and it is unary."""
        return not self.streams and self.has_no_side_effects

    def _idempotency_level(self) -> int:
        return MethodOptions.FromString(self.options[1]).idempotency_level


class ByMethod(Generic[T]):
    """Makes one thing for each method, once, and keeps none of a schema that was replaced."""

    def __init__(self, make: Callable[[Method], T]) -> None:
        """Takes the function that makes it."""
        self._make = make
        self._made: dict[Method, T] = {}
        self._pool: object = None

    def of(self, method: Method) -> T:
        """Returns what was made for a method."""
        made = self._made.get(method)
        if made is None and method not in self._made:
            pool = method.input.file.pool
            if pool is not self._pool:  # each schema has its own
                self._made.clear()
                self._pool = pool
            made = self._made[method] = self._make(method)
        return cast("T", made)


@dataclass(frozen=True, eq=False)
class Schema:
    """All methods that can be called, and their descriptors.

    It does not keep the descriptor set it was built from, which takes six times its size on disk.
    """

    pool: DescriptorPool
    methods: Mapping[str, Method]
    """By full name, in the order of the settings `services`, then of the files."""
    declared: tuple[str, ...] = ()
    """The full names of all services in the files, including those that are not exposed."""
    unmatched: Mapping[str, tuple[Source, str]] = field(default_factory=dict)
    """Names that rules outside the protos select but no method has: the source and the reason."""
    comments: Comments = NO_COMMENTS
    """The comments in the files, if they were asked for and the files have them."""
    reflected: bytes = b""
    """A hash of the files that back ends have described; empty without reflection."""

    @property
    def services(self) -> tuple[str, ...]:
        """The full names of the services with methods, in order."""
        return tuple(dict.fromkeys([method.service for method in self.methods.values()]))


def files_of(methods: Iterable[Method]) -> Iterator[FileDescriptor]:
    """Yields the files of the services of these methods, and all that they import, each once."""
    services = {one.service: one.input.file.pool for one in methods}
    waiting = [pool.FindServiceByName(name).file for name, pool in services.items()]
    seen: set[str] = set()
    while waiting:
        file = waiting.pop()
        if file.name not in seen:
            seen.add(file.name)
            waiting += file.dependencies
            yield file


RuleOverrides = Mapping[str, tuple[HttpRule, ...]]
"""By a method's full name: the rules that replace its annotation (http.proto, "gRPC API
Configuration")."""


def build_schema(
    files: FileDescriptorSet,
    *,
    services: Sequence[str] = (),
    overrides: RuleOverrides | None = None,
    system_parameters: Sequence[SystemParameterRule] = (),
    unannotated: bool = False,
    skip_unmatched: bool = False,
    comments: bool = False,
) -> Schema:
    """Builds the schema of `files`, which are in dependency order.

    `services` are selectors that limit the schema to these services, in their order; `overrides`
    replace annotations; `unannotated` gives methods without a rule `POST /package.Service/Method`;
    with `skip_unmatched`, overrides and `system_parameters` of missing methods are skipped and
    reported; with `comments`, the schema has the comments of the files.

    Raises:
        SchemaError: the files do not fit together, or a selector in `services`, a name in
            `overrides` or a selector in `system_parameters` matches nothing.
    """
    pool = _build_pool(files)
    overrides = overrides or {}
    found = list(_methods(files, pool, overrides, unannotated=unannotated))
    unmatched = dict(_unmatched(overrides, system_parameters, found))
    if unmatched and not skip_unmatched:
        raise SchemaError("\n".join([f"{source}: {why}" for source, why in unmatched.values()]))
    for method in found if system_parameters else ():
        fitting = [one for one in system_parameters if matches(one.selector, method.full_name)]
        method.system_parameters = fitting[-1].parameters if fitting else ()
    exposed = _exposed(found, services)
    for selector in services:
        reason = complaint(selector, [method.service for method in found], kind="service")
        if reason is not None:
            raise SchemaError(reason)
    declared = [
        f"{file.package}.{service.name}".removeprefix(".")
        for file in files.file
        for service in file.service
    ]
    return Schema(
        pool,
        {method.full_name: method for method in exposed},
        tuple(declared),
        unmatched,
        collect_comments(files.file) if comments else NO_COMMENTS,
    )


def _build_pool(files: FileDescriptorSet) -> DescriptorPool:
    pool = DescriptorPool()
    for file in files.file:
        try:
            pool.Add(file)
        except (TypeError, ValueError) as error:
            # After its preamble, the library's text names the symbol at fault.
            reason = str(error).rpartition("descriptor pool: ")[2]
            raise SchemaError(f"{file.name}: {reason}") from None
    return pool


def _exposed(methods: Sequence[Method], selectors: Sequence[str]) -> Sequence[Method]:
    chosen = [one for name in selectors for one in methods if matches_service(name, one.service)]
    return list(dict.fromkeys(chosen)) if selectors else methods


def _unmatched(
    overrides: RuleOverrides,
    system_parameters: Sequence[SystemParameterRule],
    methods: Sequence[Method],
) -> Iterator[tuple[str, tuple[Source, str]]]:
    known = {method.full_name: None for method in methods}
    for selector, rules in overrides.items():
        if selector not in known:
            why = complaint(selector, known) or ""
            yield selector, (rules[0].source if rules else Source("service config"), why)
    for rule in system_parameters:
        why = complaint(rule.selector, known) or ""
        if why:
            yield rule.selector, (Source(rule.file, rule.line), why)


def _methods(
    files: FileDescriptorSet, pool: DescriptorPool, overrides: RuleOverrides, *, unannotated: bool
) -> Iterator[Method]:
    for file in files.file:
        lines = _lines(file) if file.service else {}
        package = f"{file.package}." if file.package else ""
        for at, service in enumerate(file.service):
            for number, method in enumerate(service.method):
                place = (6, at, 2, number)
                source = Source(file.name, lines.get(place))
                name = f"{package}{service.name}"
                rules = overrides.get(f"{name}.{method.name}")
                if rules is None:
                    line = lines.get((*place, *_ANNOTATION), source.line)
                    rules = tuple(_annotated_rules(method, Source(file.name, line)))
                if not rules and unannotated and name not in _NOT_FOR_CLIENTS:
                    template = f"/{name}/{method.name}"
                    rules = (HttpRule("POST", template, "*", "", source),)
                options = service.options.SerializeToString(), method.options.SerializeToString()
                yield _method(pool, name, method, rules, source, options)


def _method(  # noqa: PLR0917 - the parts of a method
    pool: DescriptorPool,
    service: str,
    method: MethodDescriptorProto,
    rules: tuple[HttpRule, ...],
    source: Source,
    options: tuple[bytes, bytes],
) -> Method:
    # Look types up by the method: a type name in a file can be relative (descriptor.proto).
    described = pool.FindMethodByName(f"{service}.{method.name}")
    return Method(
        service,
        method.name,
        described.input_type,
        described.output_type,
        method.client_streaming,
        method.server_streaming,
        rules,
        source,
        options,
    )


_NOT_FOR_CLIENTS = frozenset({"gatewayapi.v1.AuthService"})
"""The service that checks passwords for the gateway, which counts failures.

Only an explicit rule exposes it."""

_ANNOTATION = (4, annotations_pb2.HTTP_FIELD_NUMBER)
"""The path from a method to its HTTP rule, in the numbers of descriptor.proto."""


def _lines(file: FileDescriptorProto) -> dict[tuple[int, ...], int]:
    """The line of each method and of its annotation, if the file has source info."""
    return {
        tuple(path): location.span[0] + 1
        for location in file.source_code_info.location
        if len(path := location.path) in (4, 6) and path[0] == 6 and location.span
    }


def _annotated_rules(method: MethodDescriptorProto, source: Source) -> Iterator[HttpRule]:
    if method.options.HasExtension(annotations_pb2.http):
        yield from flatten(method.options.Extensions[annotations_pb2.http], source)


def flatten(
    rule: http_pb2.HttpRule, source: Source, *, fully_decode: bool = False
) -> Iterator[HttpRule]:
    """Yields a rule and its additional bindings, each as one alternative."""
    is_empty = not (rule.WhichOneof("pattern") or rule.body or rule.response_body)
    if not (is_empty and rule.additional_bindings):
        yield _alternative(rule, source, fully_decode=fully_decode, nested=False)
    for additional in rule.additional_bindings:
        yield _alternative(additional, source, fully_decode=fully_decode, nested=False)
        for inner in additional.additional_bindings:
            yield _alternative(inner, source, fully_decode=fully_decode, nested=True)


def _alternative(
    rule: http_pb2.HttpRule, source: Source, *, fully_decode: bool, nested: bool
) -> HttpRule:
    pattern = rule.WhichOneof("pattern")
    if pattern is None:
        http_method, template = "", ""
    elif pattern == "custom":
        http_method, template = rule.custom.kind, rule.custom.path
    else:
        http_method, template = pattern.upper(), getattr(rule, pattern)
    return HttpRule(
        http_method, template, rule.body, rule.response_body, source, fully_decode, nested
    )
