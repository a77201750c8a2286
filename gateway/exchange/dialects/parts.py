"""The parts of a site that every dialect needs."""

from typing import NamedTuple

from gateway.exchange.calls import CallFactory, RequestLog
from gateway.exchange.rendering import Rendering
from gateway.transcoding.transcoder import Config, Transcoder


class DialectParts(NamedTuple):
    """Opens calls, reads and writes their messages, and records them."""

    config: Config
    transcoder: Transcoder
    calls: CallFactory
    rendering: Rendering
    log: RequestLog
