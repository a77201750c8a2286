"""Checks request messages against the rules in their protos: protovalidate's and AIP-203's.

Sources: buf/validate/validate.proto of protovalidate; AIP-203 for REQUIRED. The rules of all types
are compiled at start-up, and methods without rules have no such stage.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gateway.call import Call, Handler, Interceptor, Method, Reply
from gateway.config.validation import Validation
from gateway.schema.field_behavior import behavior
from gateway.status import (
    Code,
    FieldViolation,
    StartUpError,
    StatusError,
    invalid_argument,
    invalid_fields,
)
from gateway.transcoding.streams.decoder import numbered
from gateway.transcoding.text_forms import shown

logger = logging.getLogger("gateway.validation")

_RULES: Final = "buf/validate/validate.proto"
_FIELD_MASK: Final = "google.protobuf.FieldMask"
_RAW: Final = "google.api.HttpBody"
_MOST_VIOLATIONS: Final = 100
"""The limit of violations that one error names: a client can make any number of them."""

Violations = Callable[[Message], Iterable[FieldViolation]]
"""Finds the violations in a message."""


class ValidationError(StartUpError):
    """Requests cannot be validated as the settings ask; the message says why."""


class Validate:
    """Rejects calls whose messages break a rule of their type."""

    def __init__(self, message: Descriptor, find: Iterable[Violations]) -> None:
        self._parse: Callable[[bytes], Message] = GetMessageClass(message).FromString
        self._find = tuple(find)

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call if its message is valid; of a stream, with each that is.

        Raises:
            StatusError: INVALID_ARGUMENT that names up to 100 violations by their JSON paths.
        """
        if call.messages is None:
            self.check(call.decoded)
        else:
            call.messages = self._checked(call.messages)
        return proceed(call)

    def check(self, wire: bytes) -> None:
        """Rejects an invalid message.

        Raises:
            StatusError: INVALID_ARGUMENT; INTERNAL if a rule cannot be evaluated.
        """
        try:
            message = self._parse(wire)
        except DecodeError:
            raise invalid_argument("", "is not a valid message of its type") from None
        found = (violation for find in self._find for violation in find(message))
        violations = list(islice(found, _MOST_VIOLATIONS))
        if violations:
            raise invalid_fields(violations)

    async def _checked(self, messages: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        number = 0
        try:
            async for wire in messages:
                number += 1
                try:
                    self.check(wire)
                except StatusError as error:
                    raise numbered(error, number) from None
                yield wire
        finally:
            await messages.aclose()


def validation_stages(
    choice: Validation, methods: Iterable[Method], *, proto_names: bool
) -> Mapping[Method, Interceptor]:
    """Makes the stage of each method whose request has rules.

    Errors name fields as in the proto if `proto_names`, else as in JSON.

    Raises:
        ValidationError: protovalidate is not installed, or a rule cannot be compiled.
    """
    if choice is Validation.OFF:
        return {}
    name = attrgetter("name" if proto_names else "json_name")
    rules = _Protovalidate(name)
    found: dict[Method, Interceptor] = {}
    for method in methods:
        if method.client_streaming and _takes_pieces(method.input):
            continue  # its messages are pieces of one upload, of which only the first is whole
        checks: list[Violations] = []
        if _imports_rules(method.input.file):
            rules.compile(method)
            checks.append(rules.violations)
        if choice is Validation.ALL:
            checks.append(_Required(method.input, name).violations)
        if checks:
            found[method] = Validate(method.input, checks)
    return found


class _Protovalidate:
    """The rules of protovalidate for the types of one schema."""

    def __init__(self, name: Callable[[FieldDescriptor], str]) -> None:
        try:
            import protovalidate  # noqa: PLC0415 - an extra
        except ImportError:
            raise ValidationError(
                "validation: protovalidate is not installed: "
                "pip install 'grpc-rest-gateway[validation]'"
            ) from None
        self._name = name
        # It remembers types by name, so each schema needs its own.
        self._validator = protovalidate.Validator()
        self._compiled: set[str] = set()
        self._broken = (protovalidate.CompilationError, ValueError, TypeError)
        self._not_evaluated = protovalidate.EvaluationError

    def compile(self, method: Method) -> None:
        """Compiles the rules of a method's request and of all types in it.

        Raises:
            ValidationError: a rule cannot be compiled; names the method's file and line.
        """
        waiting = [method.input]
        while waiting:
            message = waiting.pop()
            if message.full_name in self._compiled:
                continue
            self._compiled.add(message.full_name)
            try:
                self._validator.collect_violations(GetMessageClass(message)())
            except self._broken as error:
                raise ValidationError(
                    f"{method.source}: the validation rules of {message.full_name} "
                    f"cannot be used: {error}"
                ) from None
            except self._not_evaluated:
                pass  # a rule may rightly need values, such as the first of a list
            waiting += [inner for field in message.fields if (inner := field.message_type)]

    def violations(self, message: Message) -> Iterator[FieldViolation]:
        """Yields the violations of a message.

        Raises:
            StatusError: INTERNAL if a rule cannot be evaluated.
        """
        try:
            found = self._validator.collect_violations(message)
        except Exception:
            logger.exception("a validation rule cannot be evaluated")
            raise StatusError(Code.INTERNAL, "the request cannot be validated") from None
        descriptor: Any = message.DESCRIPTOR
        for violation in found:
            fault = violation.proto
            elements = fault.field.elements if fault.field is not None else ()
            path = _json_path(descriptor, elements, self._name)
            yield FieldViolation(path, fault.message or "is not valid", fault.rule_id)


class _Required:
    """The fields of a type that AIP-203 requires.

    "Empty" is unset for fields with presence, and the default for others. The fields of a resource
    in a request with an update mask are not required: any part of it may be sent (AIP-134).
    """

    def __init__(self, message: Descriptor, name: Callable[[FieldDescriptor], str]) -> None:
        types = [field.message_type for field in message.fields]
        self._is_update = any(one is not None and one.full_name == _FIELD_MASK for one in types)
        self._name = name

    def violations(self, message: Message, above: str = "") -> Iterator[FieldViolation]:
        """Yields a violation for each required field that is empty."""
        present = {field.number: value for field, value in message.ListFields()}
        descriptor: Any = message.DESCRIPTOR
        for field in descriptor.fields:
            of = behavior(field)
            path = f"{above}{self._name(field)}"
            if of.is_output_only:
                continue
            value = present.get(field.number)
            if value is None:
                if of.is_required:
                    yield FieldViolation(path, "is required", "required")
            elif field.message_type is not None and not self._is_update:
                for where, inner in _inner(field, value):
                    yield from self.violations(inner, f"{path}{where}.")


def _inner(field: FieldDescriptor, value: Any) -> Iterator[tuple[str, Message]]:
    """Yields the messages in a field's value, each with its index or key in brackets."""
    entry: Any = field.message_type
    if not field.is_repeated:
        yield "", value
    elif not entry.GetOptions().map_entry:
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif entry.fields_by_name["value"].message_type is not None:
        for key, item in value.items():
            yield f"[{_key(key)}]", item


def _json_path(
    message: Descriptor | None, elements: Iterable[Any], name: Callable[[FieldDescriptor], str]
) -> str:
    """The JSON path of a violation; empty for a rule of the whole message."""
    path = ""
    for element in elements:
        field = None if message is None else message.fields_by_number.get(element.field_number)
        # A oneof has a name, and no number.
        path += f".{element.field_name if field is None else name(field)}"
        if element.subscript is not None:
            path += f"[{_key(element.subscript.value)}]"
        message = None if field is None else field.message_type
        if message is not None and message.GetOptions().map_entry:
            message = message.fields_by_name["value"].message_type
    return path.removeprefix(".")


def _key(key: object) -> str:
    """An index, or the key of a map as an error shows it."""
    return shown(key) if isinstance(key, str) else str(key).lower()


def _takes_pieces(message: Descriptor) -> bool:
    """True if a stream of this type can be an upload, whose messages are pieces of one body."""
    types = [message, *(field.message_type for field in message.fields)]
    return any(one is not None and one.full_name == _RAW for one in types)


def _imports_rules(file: FileDescriptor) -> bool:
    """True if a file, or one that it imports, can have rules of protovalidate."""
    seen: set[str] = set()
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one.name == _RULES:
            return True
        if one.name not in seen:
            seen.add(one.name)
            waiting += one.dependencies
    return False
