"""Maps the end of a call on the wire to a status.

Source: gRPC over HTTP/2 (PROTOCOL-HTTP2.md), its table "HTTP2 Transport Mapping".
"""

from collections.abc import Mapping

from gateway.call import Metadata
from gateway.http2.frames import ErrorCode
from gateway.status import Code, StatusError, code_of_proxy
from gateway.upstream.channels.failures import backend_error, of_breach
from gateway.upstream.channels.http2.headers import ResponseHeaders

CODE_OF_RESET: Mapping[ErrorCode, Code] = {
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}
"""The status of a stream that was reset; any other code is INTERNAL."""


def of_reset(upstream: str, code: ErrorCode) -> StatusError:
    """The error of a stream that the back end reset."""
    status = CODE_OF_RESET.get(code, Code.INTERNAL)
    return StatusError(status, f'upstream "{upstream}" ended the call')


def of_trailers(
    upstream: str, headers: ResponseHeaders, metadata: Metadata, trailers: Metadata
) -> StatusError:
    """The error that trailers report."""
    if headers.grpc_status is None:
        return StatusError(Code.UNKNOWN, f'upstream "{upstream}" ended the call without a status')
    if headers.grpc_status < 0:
        return of_breach(upstream)
    return backend_error(headers.grpc_status, headers.grpc_message, metadata, trailers)


def of_stranger(upstream: str, headers: ResponseHeaders) -> StatusError:
    """The error of an answer that is not gRPC, most likely from an intermediary."""
    if headers.malformed:
        return of_breach(upstream)
    if headers.grpc_status is not None and headers.grpc_status > 0:
        return backend_error(headers.grpc_status, headers.grpc_message, [], list(headers.metadata))
    code = code_of_proxy(headers.http_status)
    text = f"HTTP status {headers.http_status}" if headers.http_status else "no HTTP status"
    return StatusError(code, f'upstream "{upstream}" answered with {text}, not with gRPC')
