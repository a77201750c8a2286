"""Builds the OpenAPI document of the bindings that a gateway serves.

Sources: spec.openapis.org/oas/v3.1.1, and v3.2.0 if the settings ask for it. The document is made
from what answers requests: the bindings of the router, the JSON options, the form of errors, the
policies. It is the same for the same protos and settings, byte for byte.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from google.protobuf.descriptor_pb2 import MethodOptions, ServiceOptions

from gateway.config.model import Config
from gateway.config.openapi import OpenApiOptions, OpenApiVersion
from gateway.openapi.annotated_operations import annotate_operation
from gateway.openapi.annotations import document_words, read_annotations
from gateway.openapi.bodies import Bodies
from gateway.openapi.errors import error_responses, error_schemas, failures
from gateway.openapi.operations import describe_operation
from gateway.openapi.parameters import Parameters
from gateway.openapi.paths import OpenApiPath, openapi_path, resource_names
from gateway.openapi.request_headers import Etags, RequestHeaders
from gateway.openapi.rules import Rules
from gateway.openapi.schemas import Json, Schemas, Texts
from gateway.openapi.security import Security
from gateway.openapi.tags import Tags
from gateway.openapi.visibility import Visibility
from gateway.policy.options import MethodPolicy
from gateway.schema.catalog import Method, Schema, files_of
from gateway.schema.resources import GET_OPERATION, etag_field, request_etag
from gateway.transcoding.binding import Binding

_VERSION = re.compile(r"v[0-9]+(?:(?:alpha|beta|p)[0-9]*)*", re.ASCII)
_NAMED = 3
"""The limit of packages named in the title."""


def info(options: OpenApiOptions, methods: Sequence[Method], stated: Json) -> Json:
    """Names the API as the settings do, else as `stated` in protos, else by its packages."""
    versions = dict.fromkeys(package.rpartition(".")[2] for package in _packages(methods))
    found = [version for version in versions if _VERSION.fullmatch(version)]
    part: Json = {
        **{word: value for word, value in stated.items() if value},
        "title": title(options, methods, stated),
        "version": options.api_version
        or stated.get("version")
        or (found[0] if len(found) == 1 else "unversioned"),
    }
    if options.description:
        part["description"] = options.description
    if options.terms is not None:
        part["termsOfService"] = options.terms
    for name, given in (("contact", options.contact), ("license", options.license)):
        if given is not None:
            part[name] = given.model_dump(exclude_none=True)
    return part


def title(options: OpenApiOptions, methods: Sequence[Method], stated: Json) -> str:
    """The name of the API."""
    named = _packages(methods)
    rest = " and more" if len(named) > _NAMED else ""
    return (
        options.title or str(stated.get("title") or "") or ", ".join(named[:_NAMED]) + rest or "API"
    )


def title_of(options: OpenApiOptions, schema: Schema, methods: Sequence[Method]) -> str:
    """The name of the API with these methods, as its document has it."""
    services = dict.fromkeys(method.service for method in methods)
    return title(options, methods, document_words(schema.pool, services).info)


def _packages(methods: Sequence[Method]) -> Sequence[str]:
    """The packages of the services, in order."""
    packages = dict.fromkeys([method.service.rpartition(".")[0] for method in methods])
    return [package for package in packages if package]


VERSIONS: Final = {OpenApiVersion.V3_1: "3.1.1", OpenApiVersion.V3_2: "3.2.0"}
"""The full names of the versions of the OpenAPI Specification that a document can have."""
_METHODS: Final = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE")
"""The HTTP methods that a path of the document can have."""
_SOCKET: Final = (
    "Also a WebSocket at this path. The subprotocol `grpc-rest.json`, or none, has each message as "
    "JSON in a text frame; `grpc-rest.protobuf` has it as protobuf in a binary frame."
)
"""The words of a method that streams (docs/websocket.md)."""
_FOR_ANY: Final = ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")
"""The HTTP methods that are listed for a binding of the kind `*`."""


def build_document(
    config: Config,
    schema: Schema,
    bindings: Sequence[Binding],
    policies: Mapping[Method, MethodPolicy],
) -> Json:
    """Builds the document of `bindings`, in their order."""
    document = _Document(config, schema, bindings, policies)
    built = document.build()
    document.release()
    return built


def with_version(config: Config, version: str) -> Config:
    """The settings with one of `VERSIONS` instead of their own; if it is empty, as they are."""
    if not version:
        return config
    options = config.openapi.model_copy(update={"version": OpenApiVersion(version)})
    return config.model_copy(update={"openapi": options})


def select(bindings: Iterable[Binding], service: str = "", package: str = "") -> list[Binding]:
    """The bindings of one service or of the services of one package; all if neither is given."""
    return [
        one
        for one in bindings
        if service in ("", one.method.service)
        and package in ("", one.method.service.rpartition(".")[0])
    ]


class _Document:
    """One document while it is built."""

    def __init__(
        self,
        config: Config,
        schema: Schema,
        bindings: Sequence[Binding],
        policies: Mapping[Method, MethodPolicy],
    ) -> None:
        self._config = config
        self._bindings = Visibility(config.openapi.visibility).shown(bindings)
        self._methods = list(dict.fromkeys([binding.method for binding in self._bindings]))
        self._policies = policies
        files = list(files_of(self._methods))
        services = dict.fromkeys(method.service for method in self._methods)
        self._annotations = read_annotations(schema.pool, services, files)
        comments = schema.comments.read(file.name for file in files)
        self._texts = Texts(comments, self._annotations.of, self._annotations.types)
        self._tags = Tags(self._texts, self._annotations.document.tags)
        rules = Rules() if config.validation.is_off else Rules(schema.pool)
        self._schemas = Schemas(config.json_, self._texts, rules, config.openapi)
        has_items = config.openapi.version is not OpenApiVersion.V3_1
        self._bodies = Bodies(self._schemas, self._texts, config.query, has_items)
        shows_operations = any(one.method.full_name == GET_OPERATION for one in bindings)
        self._longest_wait_s = config.resources.operation_wait_s if shows_operations else 0
        self._others = "additionalOperations" if has_items else "x-operations"
        """The key of operations with HTTP methods that have none of their own."""
        self._parameters = Parameters(self._schemas, self._texts, config.query)
        guards = {one: policies[one] for one in self._methods}
        self._security = Security(config.auth, guards, config.openapi.scopes)
        self._headers = RequestHeaders(lists_all=config.openapi.headers)
        self._names = resource_names(self._methods)
        self._ids = _OperationIds(self._methods)
        self._paths: dict[str, Json] = {}
        self._statuses: set[str] = set()
        """The statuses of failures that operations refer to."""
        self._by_shape: dict[str, OpenApiPath] = {}
        self._with_head: set[str] = set()
        """The paths on which the gateway answers HEAD from a binding for GET."""

    def build(self) -> Json:
        """Builds the whole document."""
        exact = [binding for binding in self._bindings if binding.http_method != "*"]
        # Bindings for any HTTP method come last: they serve what no other does.
        for binding in exact:
            self._add(binding, binding.http_method)
        self._with_head = {path for path, item in self._paths.items() if "get" in item}
        for binding in self._bindings:
            if binding.http_method == "*":
                for http_method in _FOR_ANY:
                    self._add(binding, http_method, serves_rest=True)
        options, stated = self._config.openapi, self._annotations.document
        has_streams = any(method.server_streaming for method in self._methods)
        shape = self._config.errors
        failed = error_schemas(shape, has_streams=has_streams)
        components: Json = {
            "schemas": failed | self._schemas.components(failed),
            "responses": error_responses(shape, self._statuses),
        }
        if parameters := self._headers.components():
            components["parameters"] = parameters
        if self._security.schemes:
            components["securitySchemes"] = self._security.schemes
        found: Json = {
            "openapi": VERSIONS[options.version],
            "info": info(options, self._methods, stated.info),
            "servers": [{"url": url} for url in options.servers],
            "security": [],
            "tags": self._tags.listed(),
            "paths": self._paths,
            "components": components,
        }
        if groups := self._tags.groups():
            found["x-tagGroups"] = groups
        found |= {word: value for word, value in stated.more.items() if word not in found}
        if options.external_docs is not None:
            found["externalDocs"] = options.external_docs.model_dump(exclude_defaults=True)
        return found

    def release(self) -> None:
        """Gives up what the document was made of, bit by bit.

        At once it would keep other threads waiting for a tenth of a second in a large API.
        """
        self._texts.release()
        self._schemas.release()

    def _add(self, binding: Binding, http_method: str, *, serves_rest: bool = False) -> None:
        """Adds the operation of a binding to its path."""
        path = openapi_path(binding, self._names)
        first = self._by_shape.setdefault(path.shape, path)
        item = self._paths.setdefault(first.text, {})
        is_known = http_method in _METHODS
        operations = item if is_known else item.setdefault(self._others, {})
        assert isinstance(operations, dict)  # noqa: S101 - as it was made
        key = http_method.lower() if is_known else http_method
        if serves_rest and key == "head" and first.text in self._with_head:
            return
        if key in operations:
            if not serves_rest:
                # Two templates that OpenAPI cannot distinguish, such as {name} and {name=**}.
                others = operations[key].setdefault("x-alternatives", [])
                others.append({"path": str(binding.template), "method": binding.method.full_name})
            return
        operations[key] = self._operation(binding, http_method, path, first)

    def _operation(
        self, binding: Binding, http_method: str, path: OpenApiPath, first: OpenApiPath
    ) -> Json:
        method, policy = binding.method, self._policies[binding.method]
        etags = self._etags(method)
        parameters, note = self._parameters.of(binding, path)
        # One path has one set of names: those of its first operation.
        for part, named in zip(parameters, first.parameters, strict=False):
            part["name"] = named.name
        words = self._texts.annotation(method.full_name)
        operation: Json = {
            "tags": self._tags.of(method, words),
            "operationId": self._ids.next(method, str(words.get("operationId", ""))),
        }
        is_socket = self._config.websocket.enabled and method.streams
        self._texts.summarize(operation, method.full_name, note, _SOCKET if is_socket else "")
        if _is_deprecated(method):
            operation["deprecated"] = True
        if parameters:
            operation["parameters"] = parameters
        body = self._bodies.request(binding, http_method)
        if body is not None:
            operation["requestBody"] = body
        failing = failures(
            takes_body=body is not None,
            is_guarded=not self._security.admits_anyone(policy),
            is_limited=bool(policy.rate_limits or policy.max_concurrent),
            is_conditional=self._headers.evaluates(http_method, policy, etags),
        )
        self._statuses |= failing.keys()
        operation["responses"] = {"200": self._bodies.response(binding, http_method), **failing}
        describe_operation(
            operation,
            method,
            self._schemas,
            accepted=self._config.resources.accepts_operations,
            longest_wait_s=self._longest_wait_s,
        )
        self._headers.add(operation, http_method, policy, etags)
        if self._security.schemes:
            operation["security"] = self._security.requirements(method, policy)
        operation |= self._extensions(method, policy)
        if words:
            annotate_operation(operation, words)
        return operation

    def _etags(self, method: Method) -> Etags:
        """The fields of a method that the gateway connects with entity tags."""
        if not self._config.resources.has_etags or method.streams:
            return Etags()
        of_request = not method.has_no_side_effects and bool(request_etag(method))
        return Etags(of_request, etag_field(method.output) is not None)

    def _extensions(self, method: Method, policy: MethodPolicy) -> Json:
        """Facts about a method for which OpenAPI has no keyword."""
        found: Json = {}
        if method.streams and self._config.websocket.enabled:
            found["x-websocket"] = True
        if policy.rate_limits:
            found["x-ratelimit"] = [
                {"limit": one.limit, "window_s": one.window_s} for one in policy.rate_limits
            ]
        if policy.rate_limits and policy.cost != 1:
            found["x-cost"] = policy.cost
        if policy.timeout_s is not None:
            found["x-timeout-s"] = policy.timeout_s
        return found


class _OperationIds:
    """The ids of operations: `Service_Method`, and a number for further bindings."""

    def __init__(self, methods: Sequence[Method]) -> None:
        packages: defaultdict[str, set[str]] = defaultdict(set)
        for method in methods:
            packages[method.service.rpartition(".")[2]].add(method.service)
        self._ambiguous = {name for name, services in packages.items() if len(services) > 1}
        self._used: Counter[str] = Counter()
        self._taken: set[str] = set()

    def next(self, method: Method, stated: str) -> str:
        """The id of the method's next operation; the first one of `stated`, if it is not empty."""
        service = method.service.rpartition(".")[2]
        if service in self._ambiguous:
            service = method.service.replace(".", "_")
        base = stated or f"{service}_{method.name}"
        while True:
            self._used[base] += 1
            number = self._used[base]
            name = base if number == 1 else f"{base}_{number}"
            if name not in self._taken:
                self._taken.add(name)
                return name


def _is_deprecated(method: Method) -> bool:
    of_service, of_method = method.options
    if not (of_service or of_method):
        return False
    return (
        MethodOptions.FromString(of_method).deprecated
        or ServiceOptions.FromString(of_service).deprecated
    )
