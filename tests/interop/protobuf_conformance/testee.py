"""The program that the runner of protobuf's conformance suite tests.

It reads requests on its standard input and writes responses on its standard output, each after its
length (conformance.proto). Requests without JSON are answered as skipped.
"""

import struct
import sys
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from gateway.config.json import JsonOptions, Unknown
from gateway.status import StatusError
from gateway.transcoding.json.codec import Codec
from tests.support.schema import descriptor_pool

_LENGTH = struct.Struct("<I")
_JSON = 2
_PROTOBUF = 1
_IGNORE_UNKNOWN = 3
"""Numbers of WireFormat and TestCategory in conformance.proto."""


class Testee:
    """Answers requests by the codec; `files` has conformance.proto and the test messages."""

    def __init__(self, files: FileDescriptorSet) -> None:
        self._pool: DescriptorPool = descriptor_pool(files)
        self._request = self._kind("ConformanceRequest")
        self._response = self._kind("ConformanceResponse")
        self._codec = cache(self._make_codec)

    def answer(self, request_bytes: bytes) -> bytes:
        """Returns the bytes of the response to a request."""
        request = self._request.FromString(request_bytes)
        result, value = self._result(request)
        return bytes(self._response(**{result: value}).SerializeToString())

    def _result(self, request: Any) -> tuple[str, str | bytes]:
        """Returns the field of the response to set, and its value."""
        given, wanted = request.WhichOneof("payload"), request.requested_output_format
        if request.message_type == "conformance.FailureSet":
            # The first request asks for the failures that are to be expected: none.
            return "protobuf_payload", b""
        is_json = given == "json_payload" or wanted == _JSON
        if not is_json or given not in ("json_payload", "protobuf_payload"):
            return "skipped", "only conversions from or to JSON are tested"
        if wanted not in (_JSON, _PROTOBUF):
            return "skipped", "only JSON and protobuf are written"
        try:
            message = self._pool.FindMessageTypeByName(request.message_type)
        except KeyError:
            return "skipped", f"{request.message_type} is of an edition that is not known here"
        codec = self._codec(request.test_category == _IGNORE_UNKNOWN)
        wire = request.protobuf_payload
        if given == "json_payload":
            try:
                wire = codec.reader(message)(request.json_payload.encode())
            except StatusError as error:
                return "parse_error", error.message
        if wanted == _PROTOBUF:
            return "protobuf_payload", wire
        try:
            return "json_payload", codec.writer(message)(wire).decode()
        except StatusError as error:
            is_parsed = "cannot be shown as JSON" in error.message
            return ("serialize_error" if is_parsed else "parse_error"), error.message

    def _make_codec(self, ignores_unknown: bool) -> Codec:
        unknown = Unknown.IGNORE if ignores_unknown else Unknown.REJECT
        return Codec(self._pool, JsonOptions(unknown_fields=unknown, emit_unset=False))

    def _kind(self, name: str) -> Any:
        return GetMessageClass(self._pool.FindMessageTypeByName(f"conformance.{name}"))


def serve(testee: Testee, requests: BinaryIO, responses: BinaryIO) -> None:
    """Answers requests until there are no more."""
    while length := requests.read(_LENGTH.size):
        response = testee.answer(requests.read(_LENGTH.unpack(length)[0]))
        responses.write(_LENGTH.pack(len(response)) + response)
        responses.flush()


if __name__ == "__main__":
    described = FileDescriptorSet.FromString(Path(sys.argv[1]).read_bytes())
    serve(Testee(described), sys.stdin.buffer, sys.stdout.buffer)
