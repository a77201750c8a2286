import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuthenticateRequest(_message.Message):
    __slots__ = ("client", "password", "renewal", "client_check", "requested_scopes", "peer")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_CHECK_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_SCOPES_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    client: Client
    password: Password
    renewal: Renewal
    client_check: ClientCheck
    requested_scopes: _containers.RepeatedScalarFieldContainer[str]
    peer: str
    def __init__(self, client: _Optional[_Union[Client, _Mapping]] = ..., password: _Optional[_Union[Password, _Mapping]] = ..., renewal: _Optional[_Union[Renewal, _Mapping]] = ..., client_check: _Optional[_Union[ClientCheck, _Mapping]] = ..., requested_scopes: _Optional[_Iterable[str]] = ..., peer: _Optional[str] = ...) -> None: ...

class Client(_message.Message):
    __slots__ = ("id", "secret")
    ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    id: str
    secret: str
    def __init__(self, id: _Optional[str] = ..., secret: _Optional[str] = ...) -> None: ...

class Password(_message.Message):
    __slots__ = ("username", "password")
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    username: str
    password: str
    def __init__(self, username: _Optional[str] = ..., password: _Optional[str] = ...) -> None: ...

class Renewal(_message.Message):
    __slots__ = ("principal",)
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    principal: str
    def __init__(self, principal: _Optional[str] = ...) -> None: ...

class ClientCheck(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AuthenticateResponse(_message.Message):
    __slots__ = ("principal", "granted_scopes", "claims", "time_to_live", "refreshable")
    class ClaimsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    GRANTED_SCOPES_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_LIVE_FIELD_NUMBER: _ClassVar[int]
    REFRESHABLE_FIELD_NUMBER: _ClassVar[int]
    principal: str
    granted_scopes: _containers.RepeatedScalarFieldContainer[str]
    claims: _containers.ScalarMap[str, str]
    time_to_live: _duration_pb2.Duration
    refreshable: bool
    def __init__(self, principal: _Optional[str] = ..., granted_scopes: _Optional[_Iterable[str]] = ..., claims: _Optional[_Mapping[str, str]] = ..., time_to_live: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., refreshable: _Optional[bool] = ...) -> None: ...
