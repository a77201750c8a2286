"""aiohttp's parser of requests, set up with our limits."""

import asyncio
from typing import Any

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser

from gateway.config.model import Limits
from gateway.frontend.body import BrokenBodyError
from gateway.frontend.request_head import TARGET_SLACK_BYTES

_BUFFER_BYTES = 64 * 1024


def request_parser(protocol: BaseProtocol, loop: asyncio.AbstractEventLoop, limits: Limits) -> Any:
    """What makes requests of the bytes of one connection, and fills their bodies."""
    parser: Any = HttpRequestParser  # its C half has more arguments than its types tell
    return parser(
        protocol,
        loop,
        _BUFFER_BYTES,
        max_line_size=limits.url_bytes + TARGET_SLACK_BYTES,
        max_headers=limits.header_count,
        max_field_size=limits.header_bytes,
        payload_exception=BrokenBodyError,
        auto_decompress=False,
    )
