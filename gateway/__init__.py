"""A gRPC-to-REST transcoding gateway.

The names in `__all__` are the public interface, documented in docs/api.md; every other module is
private and may change in any release. They are imported when first used, so that the command line
starts quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.app.gateway import open_gateway
    from gateway.call import Call, Handler, Interceptor, Principal, Reply
    from gateway.config.model import Config
    from gateway.embedding.aiohttp_application import GatewayHandler
    from gateway.embedding.asgi import GatewayASGI
    from gateway.status import Code, StatusError
    from gateway.telemetry.metrics.own_metrics import InterceptorMetrics
    from gateway.upstream.balancing import (
        Balancing,
        Candidate,
        Endpoint,
        HealthCheck,
        Picker,
        Resolver,
    )

__all__ = [
    "Balancing",
    "Call",
    "Candidate",
    "Code",
    "Config",
    "Endpoint",
    "GatewayASGI",
    "GatewayHandler",
    "Handler",
    "HealthCheck",
    "Interceptor",
    "InterceptorMetrics",
    "Picker",
    "Principal",
    "Reply",
    "Resolver",
    "StatusError",
    "open_gateway",
]

_MODULES = {
    "Balancing": "gateway.upstream.balancing",
    "Call": "gateway.call",
    "Candidate": "gateway.upstream.balancing",
    "Code": "gateway.status",
    "Config": "gateway.config.model",
    "Endpoint": "gateway.upstream.balancing",
    "GatewayASGI": "gateway.embedding.asgi",
    "GatewayHandler": "gateway.embedding.aiohttp_application",
    "Handler": "gateway.call",
    "HealthCheck": "gateway.upstream.balancing",
    "Interceptor": "gateway.call",
    "InterceptorMetrics": "gateway.telemetry.metrics.own_metrics",
    "Picker": "gateway.upstream.balancing",
    "Principal": "gateway.call",
    "Reply": "gateway.call",
    "Resolver": "gateway.upstream.balancing",
    "StatusError": "gateway.status",
    "open_gateway": "gateway.app.gateway",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'gateway' has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
