import datetime

from gatewayapi.v1 import openapi_pb2 as _openapi_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EchoRequest(_message.Message):
    __slots__ = ("text", "rest", "number", "words", "inner")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REST_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    INNER_FIELD_NUMBER: _ClassVar[int]
    text: str
    rest: str
    number: int
    words: _containers.RepeatedScalarFieldContainer[str]
    inner: EchoRequest
    def __init__(self, text: _Optional[str] = ..., rest: _Optional[str] = ..., number: _Optional[int] = ..., words: _Optional[_Iterable[str]] = ..., inner: _Optional[_Union[EchoRequest, _Mapping]] = ...) -> None: ...

class EchoResponse(_message.Message):
    __slots__ = ("text", "rest", "number", "words", "inner", "metadata", "time_remaining")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REST_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    INNER_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TIME_REMAINING_FIELD_NUMBER: _ClassVar[int]
    text: str
    rest: str
    number: int
    words: _containers.RepeatedScalarFieldContainer[str]
    inner: EchoRequest
    metadata: _containers.RepeatedCompositeFieldContainer[Metadatum]
    time_remaining: _duration_pb2.Duration
    def __init__(self, text: _Optional[str] = ..., rest: _Optional[str] = ..., number: _Optional[int] = ..., words: _Optional[_Iterable[str]] = ..., inner: _Optional[_Union[EchoRequest, _Mapping]] = ..., metadata: _Optional[_Iterable[_Union[Metadatum, _Mapping]]] = ..., time_remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Metadatum(_message.Message):
    __slots__ = ("name", "value", "binary_value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BINARY_VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    binary_value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., binary_value: _Optional[bytes] = ...) -> None: ...

class FailRequest(_message.Message):
    __slots__ = ("code", "message", "details", "reason")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: _containers.RepeatedCompositeFieldContainer[_any_pb2.Any]
    reason: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[_Iterable[_Union[_any_pb2.Any, _Mapping]]] = ..., reason: _Optional[str] = ...) -> None: ...

class SleepRequest(_message.Message):
    __slots__ = ("duration",)
    DURATION_FIELD_NUMBER: _ClassVar[int]
    duration: _duration_pb2.Duration
    def __init__(self, duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SleepResponse(_message.Message):
    __slots__ = ("slept",)
    SLEPT_FIELD_NUMBER: _ClassVar[int]
    slept: _duration_pb2.Duration
    def __init__(self, slept: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SendMetadataRequest(_message.Message):
    __slots__ = ("headers", "trailers")
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    TRAILERS_FIELD_NUMBER: _ClassVar[int]
    headers: _containers.RepeatedCompositeFieldContainer[Metadatum]
    trailers: _containers.RepeatedCompositeFieldContainer[Metadatum]
    def __init__(self, headers: _Optional[_Iterable[_Union[Metadatum, _Mapping]]] = ..., trailers: _Optional[_Iterable[_Union[Metadatum, _Mapping]]] = ...) -> None: ...

class RepeatRequest(_message.Message):
    __slots__ = ("text", "count", "interval", "code")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    text: str
    count: int
    interval: _duration_pb2.Duration
    code: int
    def __init__(self, text: _Optional[str] = ..., count: _Optional[int] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., code: _Optional[int] = ...) -> None: ...
