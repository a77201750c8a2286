"""Annotations for other generators of OpenAPI: those of gnostic and of grpc-gateway.

Sources: openapiv3/annotations.proto of gnostic, protoc-gen-openapiv2 and protoc-gen-openapiv3 of
grpc-gateway. They are read with the descriptors of the API itself, which has their files.

An annotation may change words, examples, tags and ids, and limit values. Paths, types, credentials
and servers are what the gateway serves: what an annotation says of them is left out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict

from gateway.config.yaml_text import YamlError, read_yaml, resolved
from gateway.openapi.annotated_operations import operation_words
from gateway.openapi.annotated_schemas import FORMATS, Json, kind_of, schema_words
from gateway.openapi.option_reading import option_reader

_FILE, _SERVICE, _METHOD = "FileOptions", "ServiceOptions", "MethodOptions"
_MESSAGE, _FIELD, _ENUM = "MessageOptions", "FieldOptions", "EnumOptions"
_V2: Final = "grpc.gateway.protoc_gen_openapiv2.options.openapiv2"
_V3: Final = "grpc.gateway.protoc_gen_openapiv3.options.openapiv3"
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    _FILE: (
        *(f"{_V2}_swagger", f"{_V3}_document"),
        *("openapi.v3.document", "gnostic.openapi.v3.document"),
    ),
    _SERVICE: (f"{_V2}_tag", f"{_V3}_tag"),
    _METHOD: (
        *(f"{_V2}_operation", f"{_V3}_operation"),
        *("openapi.v3.operation", "gnostic.openapi.v3.operation"),
    ),
    _MESSAGE: (
        *(f"{_V2}_schema", f"{_V3}_schema"),
        *("openapi.v3.schema", "gnostic.openapi.v3.schema"),
    ),
    _FIELD: (
        *("google.api.field_info", f"{_V2}_field", f"{_V3}_field"),
        *("openapi.v3.property", "gnostic.openapi.v3.property"),
    ),
    _ENUM: (f"{_V2}_enum",),
}
"""The options by kind of element; the last that states a part wins."""
_INFO: Final = (
    *("title", "summary", "description", "termsOfService", "contact", "license", "version"),
)
_TAG: Final = ("name", "description", "externalDocs")


class DocumentWords(NamedTuple):
    """The words of annotations for the whole document."""

    info: Json
    """The part `info`."""
    tags: list[Json]
    """Tags with their descriptions."""
    more: Json
    """`externalDocs`, and extensions."""


class LeftOut(NamedTuple):
    """The parts of the annotations of one element that are left out."""

    file: str
    element: str
    """Its full name."""
    parts: Sequence[str]


class Annotations(NamedTuple):
    """The words of all annotations, as OpenAPI 3.1 has them."""

    of: Mapping[str, Json]
    """The parts of each element by its full name."""
    types: Mapping[Any, Json]
    """The same by the descriptor of a message, field or enum: to find one takes less time."""
    document: DocumentWords
    """The words about the whole document."""
    left_out: Sequence[LeftOut]
    """The parts that are left out."""


NO_ANNOTATIONS: Final = Annotations({}, {}, DocumentWords({}, [], {}), ())

_Element = Any
_Read = Callable[[_Element], Sequence[Json]]


def read_annotations(
    pool: DescriptorPool, services: Iterable[str], files: Iterable[FileDescriptor]
) -> Annotations:
    """Reads the annotations of these files; those of whole files, in the files of `services`."""
    reading = _Reading(pool)
    if not reading.has_any:
        return NO_ANNOTATIONS
    for file in files:
        if reading.can_use(file):
            reading.add(file)
    return Annotations(
        reading.of, reading.types(), document_words(pool, services), reading.left_out
    )


def document_words(pool: DescriptorPool, services: Iterable[str]) -> DocumentWords:
    """The annotations of whole documents in the files of services; the first file wins."""
    read = _reader(pool, _FILE)
    info: Any = {}
    tags: list[Json] = []
    more: Json = {}
    if read is not None:
        for name in dict.fromkeys(pool.FindServiceByName(name).file.name for name in services):
            of_file: Any = {}
            for stated in read(pool.FindFileByName(name)):
                of_file = of_file | stated.get("info", {})
                listed: Any = stated.get("tags", ())
                tags += [_tag(tag) for tag in listed]
                docs = {"externalDocs": stated["externalDocs"]} if "externalDocs" in stated else {}
                more = more | docs | extensions(stated)
            info = info or of_file
    kept = {word: info[word] for word in _INFO if info.get(word)}
    return DocumentWords(kept | extensions(info), tags, more)


def extensions(stated: Json) -> Json:
    """The specification extensions of a part, in the form of either tool."""
    found: Any = stated.get("extensions", {})
    return {key: found[key] for key in sorted(found) if key.startswith("x-")}


class _Reading:
    """Annotations while they are collected."""

    def __init__(self, pool: DescriptorPool) -> None:
        self.of: dict[str, Json] = {}
        self._types: dict[str, Any] = {}
        self._files = _files(pool)
        self._passing: dict[str, bool] = {}
        """By the name of a file: whether those that import it can use the options."""
        self.left_out: list[LeftOut] = []
        kinds = (_SERVICE, _METHOD, _MESSAGE, _FIELD, _ENUM)
        self._read = {kind: read for kind in kinds if (read := _reader(pool, kind)) is not None}
        self.has_any = bool(self._read) or _reader(pool, _FILE) is not None

    def add(self, file: FileDescriptor) -> None:
        """Adds the annotations of a file's elements."""
        for service in file.services_by_name.values():
            self._add(_SERVICE, service, _tag_words)
            for method in service.methods:
                self._add(_METHOD, method, lambda _, stated: operation_words(stated))
        self._add_types(file.message_types_by_name.values(), file.enum_types_by_name.values())

    def can_use(self, file: FileDescriptor) -> bool:
        """True if a file imports the options, itself or through public imports."""
        return any(one.name in self._files or self._passes_on(one) for one in file.dependencies)

    def _passes_on(self, file: FileDescriptor) -> bool:
        found = self._passing.get(file.name)
        if found is None:
            public = file.public_dependencies
            found = any(one.name in self._files or self._passes_on(one) for one in public)
            self._passing[file.name] = found
        return found

    def types(self) -> Mapping[Any, Json]:
        """The annotations by descriptor."""
        return {element: self.of[name] for name, element in self._types.items()}

    def _add_types(self, messages: Iterable[Descriptor], enums: Iterable[Any]) -> None:
        for enum in enums:
            self._add(_ENUM, enum, lambda _, stated: schema_words("string", stated))
        for message in messages:
            self._add(_MESSAGE, message, lambda _, stated: schema_words("object", stated))
            needed: Any = self.of.get(message.full_name, {}).pop("required", ())
            for field in message.fields:
                if field.has_options:
                    self._add(_FIELD, field, _field_words)
                elif not needed:
                    continue
                # The list of a field, which has no members, says that itself is needed.
                is_listed = field.name in needed or field.json_name in needed
                if is_listed or self.of.get(field.full_name, {}).pop("required", ()):
                    self._types[field.full_name] = field
                    self.of.setdefault(field.full_name, {})["isNeeded"] = True
            self._add_types(message.nested_types, message.enum_types)

    def _add(
        self,
        kind: str,
        element: _Element,
        words: Callable[[_Element, Json], tuple[Json, list[str]]],
    ) -> None:
        read = self._read.get(kind)
        if read is None or not element.has_options:
            return
        for stated in read(element):
            found, left_out = words(element, stated)
            found |= extensions(stated)
            if found:
                self._types[element.full_name] = element
                self.of[element.full_name] = _merged(self.of.get(element.full_name, {}), found)
            if left_out:
                file = getattr(element, "file", None) or element.containing_service.file
                self.left_out.append(LeftOut(file.name, element.full_name, left_out))


def _merged(weak: Json, strong: Json) -> Json:
    """The parts of two annotations of one element; those of `strong` win."""
    found = weak | strong
    for word in ("responses", "limits"):
        if word in weak and word in strong:
            found[word] = weak[word] | strong[word]  # type: ignore[operator]
    if "parameters" in weak and "parameters" in strong:
        both: Any = [*weak["parameters"], *strong["parameters"]]  # type: ignore[misc]
        found["parameters"] = list({one["name"].lower(): one for one in both}.values())
    return found


def _files(pool: DescriptorPool) -> frozenset[str]:
    """The names of the files that define the options."""
    found: set[str] = set()
    for name in chain(*_OPTIONS.values()):
        with suppress(KeyError):
            extension: Any = pool.FindExtensionByName(name)
            found.add(extension.file.name)
    return frozenset(found)


def _tag_words(_: _Element, stated: Json) -> tuple[Json, list[str]]:
    return _tag(stated), []


def _field_words(field: _Element, stated: Json) -> tuple[Json, list[str]]:
    kind = kind_of(field)
    if kind != "string":
        stated.pop("format", None)  # that of the type says how JSON has it
    return schema_words(kind, stated)


def _tag(stated: Json) -> Json:
    return {word: stated[word] for word in _TAG if word in stated} | extensions(stated)


def _reader(pool: DescriptorPool, kind: str) -> _Read | None:
    """A function that yields what an element's options say; None if the API imports none."""
    found = [option_reader(pool, f"google.protobuf.{kind}", name) for name in _OPTIONS[kind]]
    readers = [read for read in found if read is not None]
    if not readers:
        return None

    @lru_cache(maxsize=4096)
    def stated(encoded: bytes) -> Sequence[Json]:
        messages = [one(encoded) for one in readers]
        return [_plain(message) for message in messages if message is not None]

    # A large API has few different options, in a hundred thousand fields.
    def read(element: _Element) -> Sequence[Json]:
        return [dict(one) for one in stated(element.GetOptions().SerializeToString())]

    return read


def _plain(message: Any) -> Json:
    """An annotation as JSON, in the form of grpc-gateway's."""
    try:
        found: Json = MessageToDict(message)
    except (TypeError, ValueError):  # it has an Any of an unknown type, or a number without JSON
        return {}
    of = message.DESCRIPTOR.full_name
    if of == "google.api.FieldInfo":
        known = FORMATS.get(str(found.get("format")))
        return {"format": known} if known else {}
    usual: Json = found if of.startswith(("grpc.", "google.")) else _usual(found)
    return usual


_WRAPPERS: Final = frozenset({"schema", "reference", "parameter", "response", "header"})
"""Members that gnostic has between a part and its content, where a reference could be instead."""


def _usual(value: Any) -> Any:
    """A value of gnostic's types without what they have between parts and their content."""
    if isinstance(value, list):
        return [_usual(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "yaml" in value and len(value) == 1:
        return _from_yaml(value["yaml"])
    found = {word: _usual(inner) for word, inner in value.items()}
    if len(found) == 1 and (word := next(iter(found))) in _WRAPPERS:
        return found[word]
    for word in ("additionalProperties", "responseOrReference"):
        if isinstance(named := found.get(word), list):
            del found[word]
            found |= {one.get("name", ""): one.get("value", {}) for one in named}
    if isinstance(named := found.pop("specificationExtension", None), list):
        found["extensions"] = {one.get("name", ""): one.get("value") for one in named}
    return found


def _from_yaml(text: str) -> object:
    try:
        return resolved(read_yaml(text).value)
    except YamlError:
        return text
