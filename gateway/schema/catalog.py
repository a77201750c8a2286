"""What can be called: one `FileDescriptorSet` in, a `Schema` out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool


@dataclass(frozen=True, slots=True)
class Source:
    """Where something is written: a .proto or service-config file, and the line if it is known."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One alternative of a google.api.HttpRule as written; `http_method` is "*" for any."""

    http_method: str
    template: str
    body: str
    response_body: str
    source: Source
    fully_decode: bool = False


@dataclass(frozen=True, eq=False)
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

    @cached_property
    def full_name(self) -> str:
        """As a selector writes it: `library.v1.LibraryService.GetBook`."""
        return f"{self.service}.{self.name}"

    @cached_property
    def path(self) -> str:
        """As gRPC sends it: `/library.v1.LibraryService/GetBook`."""
        return f"/{self.service}/{self.name}"

    @cached_property
    def kind(self) -> str:
        """One of unary, server streaming, client streaming, bidi."""
        kinds = {
            (False, False): "unary",
            (False, True): "server streaming",
            (True, False): "client streaming",
            (True, True): "bidi",
        }
        return kinds[self.client_streaming, self.server_streaming]


@dataclass(frozen=True, eq=False)
class Schema:
    """Everything that can be called, and the descriptors to speak of it."""

    files: FileDescriptorSet
    pool: DescriptorPool
    methods: Mapping[str, Method]
    """By full name, in the order of the files."""
