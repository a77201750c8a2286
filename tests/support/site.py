"""A site before a scripted back end, requests without a listener, and records of their ends."""

from collections.abc import Sequence
from typing import Any

from multidict import CIMultiDict

from gateway.call import Handler
from gateway.config.model import Config
from gateway.exchange.endpoints import EndpointRegistry
from gateway.exchange.ring.ring import Ring
from gateway.exchange.site import Site
from gateway.http.header_fields import HeaderFields
from gateway.http.messages import Request
from gateway.telemetry.record import Observer, Record
from gateway.telemetry.traces.starting import TraceStarter
from gateway.transcoding.transcoder import build_transcoder
from tests.support.front_end import schema

PEER = "192.0.2.7"


class Records(list[Record]):
    """An observer that keeps the records it gets."""

    def ended(self, record: Record) -> None:
        """Keeps a record."""
        self.append(record)


def make_site(
    handler: Handler,
    *,
    observers: Sequence[Observer] = (),
    ring: Ring | None = None,
    endpoints: EndpointRegistry | None = None,
    starter: TraceStarter | None = None,
    **settings: Any,
) -> Site:
    """A site of the front end's schema whose calls `handler` answers."""
    config = Config.model_validate(settings)
    return Site(
        config,
        build_transcoder(config, schema()),
        dict.fromkeys(schema().methods.values(), handler),
        observers=observers,
        ring=ring or Ring(),
        endpoints=endpoints,
        starter=starter,
    )


def make_request(target: str = "/v1/items/a", method: str = "GET", **headers: str) -> Request:
    """A request without a body; an underscore in the name of a header stands for a hyphen."""
    by_name = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    raw = [(name.encode(), value.encode()) for name, value in by_name.items()]
    return Request(method, target, HeaderFields(by_name, raw), PEER)
