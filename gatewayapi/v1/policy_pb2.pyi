import datetime

from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
POLICY_FIELD_NUMBER: _ClassVar[int]
policy: _descriptor.FieldDescriptor
DEFAULT_POLICY_FIELD_NUMBER: _ClassVar[int]
default_policy: _descriptor.FieldDescriptor

class Policy(_message.Message):
    __slots__ = ("anonymous", "scopes", "rate_limits", "cost", "max_concurrent", "timeout", "redact", "cache", "etag", "idempotency", "invalidates")
    ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    REDACT_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_FIELD_NUMBER: _ClassVar[int]
    INVALIDATES_FIELD_NUMBER: _ClassVar[int]
    anonymous: bool
    scopes: Scopes
    rate_limits: _containers.RepeatedCompositeFieldContainer[RateLimit]
    cost: int
    max_concurrent: int
    timeout: _duration_pb2.Duration
    redact: _containers.RepeatedScalarFieldContainer[str]
    cache: Cache
    etag: bool
    idempotency: Idempotency
    invalidates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, anonymous: _Optional[bool] = ..., scopes: _Optional[_Union[Scopes, _Mapping]] = ..., rate_limits: _Optional[_Iterable[_Union[RateLimit, _Mapping]]] = ..., cost: _Optional[int] = ..., max_concurrent: _Optional[int] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., redact: _Optional[_Iterable[str]] = ..., cache: _Optional[_Union[Cache, _Mapping]] = ..., etag: _Optional[bool] = ..., idempotency: _Optional[_Union[Idempotency, _Mapping]] = ..., invalidates: _Optional[_Iterable[str]] = ...) -> None: ...

class Idempotency(_message.Message):
    __slots__ = ("key", "ttl", "lease", "wait", "on_unknown", "allow_anonymous", "docs_url", "disabled", "backend_handles")
    class Key(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KEY_UNSPECIFIED: _ClassVar[Idempotency.Key]
        OPTIONAL: _ClassVar[Idempotency.Key]
        REQUIRED: _ClassVar[Idempotency.Key]
    KEY_UNSPECIFIED: Idempotency.Key
    OPTIONAL: Idempotency.Key
    REQUIRED: Idempotency.Key
    class OnUnknown(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ON_UNKNOWN_UNSPECIFIED: _ClassVar[Idempotency.OnUnknown]
        REFUSE: _ClassVar[Idempotency.OnUnknown]
        RETRY: _ClassVar[Idempotency.OnUnknown]
    ON_UNKNOWN_UNSPECIFIED: Idempotency.OnUnknown
    REFUSE: Idempotency.OnUnknown
    RETRY: Idempotency.OnUnknown
    KEY_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    ON_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    ALLOW_ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    DOCS_URL_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    BACKEND_HANDLES_FIELD_NUMBER: _ClassVar[int]
    key: Idempotency.Key
    ttl: _duration_pb2.Duration
    lease: _duration_pb2.Duration
    wait: _duration_pb2.Duration
    on_unknown: Idempotency.OnUnknown
    allow_anonymous: bool
    docs_url: str
    disabled: bool
    backend_handles: bool
    def __init__(self, key: _Optional[_Union[Idempotency.Key, str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., on_unknown: _Optional[_Union[Idempotency.OnUnknown, str]] = ..., allow_anonymous: _Optional[bool] = ..., docs_url: _Optional[str] = ..., disabled: _Optional[bool] = ..., backend_handles: _Optional[bool] = ...) -> None: ...

class Cache(_message.Message):
    __slots__ = ("ttl", "scope", "vary", "swr", "sie", "request_control", "disabled", "tags", "negative", "ttl_overrides", "downstream")
    class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SCOPE_UNSPECIFIED: _ClassVar[Cache.Scope]
        PRINCIPAL: _ClassVar[Cache.Scope]
        SHARED: _ClassVar[Cache.Scope]
        ANONYMOUS: _ClassVar[Cache.Scope]
    SCOPE_UNSPECIFIED: Cache.Scope
    PRINCIPAL: Cache.Scope
    SHARED: Cache.Scope
    ANONYMOUS: Cache.Scope
    TTL_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    VARY_FIELD_NUMBER: _ClassVar[int]
    SWR_FIELD_NUMBER: _ClassVar[int]
    SIE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_CONTROL_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    TTL_OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    DOWNSTREAM_FIELD_NUMBER: _ClassVar[int]
    ttl: _duration_pb2.Duration
    scope: Cache.Scope
    vary: _containers.RepeatedScalarFieldContainer[str]
    swr: _duration_pb2.Duration
    sie: _duration_pb2.Duration
    request_control: bool
    disabled: bool
    tags: _containers.RepeatedScalarFieldContainer[str]
    negative: Negative
    ttl_overrides: bool
    downstream: bool
    def __init__(self, ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., scope: _Optional[_Union[Cache.Scope, str]] = ..., vary: _Optional[_Iterable[str]] = ..., swr: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., sie: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., request_control: _Optional[bool] = ..., disabled: _Optional[bool] = ..., tags: _Optional[_Iterable[str]] = ..., negative: _Optional[_Union[Negative, _Mapping]] = ..., ttl_overrides: _Optional[bool] = ..., downstream: _Optional[bool] = ...) -> None: ...

class Negative(_message.Message):
    __slots__ = ("not_found", "unimplemented", "out_of_range")
    NOT_FOUND_FIELD_NUMBER: _ClassVar[int]
    UNIMPLEMENTED_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_RANGE_FIELD_NUMBER: _ClassVar[int]
    not_found: _duration_pb2.Duration
    unimplemented: _duration_pb2.Duration
    out_of_range: _duration_pb2.Duration
    def __init__(self, not_found: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., unimplemented: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., out_of_range: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Scopes(_message.Message):
    __slots__ = ("any", "all")
    ANY_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    any: _containers.RepeatedScalarFieldContainer[str]
    all: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, any: _Optional[_Iterable[str]] = ..., all: _Optional[_Iterable[str]] = ...) -> None: ...

class RateLimit(_message.Message):
    __slots__ = ("limit", "window", "by", "header", "algorithm", "name")
    class By(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        BY_UNSPECIFIED: _ClassVar[RateLimit.By]
        PRINCIPAL: _ClassVar[RateLimit.By]
        CREDENTIAL: _ClassVar[RateLimit.By]
        ADDRESS: _ClassVar[RateLimit.By]
        HEADER: _ClassVar[RateLimit.By]
        METHOD: _ClassVar[RateLimit.By]
    BY_UNSPECIFIED: RateLimit.By
    PRINCIPAL: RateLimit.By
    CREDENTIAL: RateLimit.By
    ADDRESS: RateLimit.By
    HEADER: RateLimit.By
    METHOD: RateLimit.By
    class Algorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ALGORITHM_UNSPECIFIED: _ClassVar[RateLimit.Algorithm]
        TOKEN_BUCKET: _ClassVar[RateLimit.Algorithm]
        SLIDING_WINDOW: _ClassVar[RateLimit.Algorithm]
    ALGORITHM_UNSPECIFIED: RateLimit.Algorithm
    TOKEN_BUCKET: RateLimit.Algorithm
    SLIDING_WINDOW: RateLimit.Algorithm
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    limit: int
    window: _duration_pb2.Duration
    by: RateLimit.By
    header: str
    algorithm: RateLimit.Algorithm
    name: str
    def __init__(self, limit: _Optional[int] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., by: _Optional[_Union[RateLimit.By, str]] = ..., header: _Optional[str] = ..., algorithm: _Optional[_Union[RateLimit.Algorithm, str]] = ..., name: _Optional[str] = ...) -> None: ...
