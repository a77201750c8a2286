"""A small xDS server (ADS, state of the world), with just the messages that gRPC needs (gRFC A27).

The protos are cut out of Envoy's API (envoyproxy/data-plane-api), with their names and numbers.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from tests.support.schema import descriptor_pool, descriptor_set

_FILES = {
    "core": """syntax = "proto3"; package envoy.config.core.v3;
message AggregatedConfigSource {}
message ConfigSource { AggregatedConfigSource ads = 3; int32 resource_api_version = 6; }
message Locality { string region = 1; string zone = 2; }
message SocketAddress { string address = 2; uint32 port_value = 3; }
message Address { SocketAddress socket_address = 1; }
""",
    "discovery": """syntax = "proto3"; package envoy.service.discovery.v3;
import "google/protobuf/any.proto"; import "google/rpc/status.proto";
message DiscoveryRequest {
  string version_info = 1; repeated string resource_names = 3; string type_url = 4;
  string response_nonce = 5; google.rpc.Status error_detail = 6;
}
message DiscoveryResponse {
  string version_info = 1; repeated google.protobuf.Any resources = 2; string type_url = 4;
  string nonce = 5;
}
""",
    "listener": """syntax = "proto3"; package envoy.config.listener.v3;
import "google/protobuf/any.proto";
message ApiListener { google.protobuf.Any api_listener = 1; }
message Listener { string name = 1; ApiListener api_listener = 19; }
""",
    "manager": """syntax = "proto3";
package envoy.extensions.filters.network.http_connection_manager.v3;
import "google/protobuf/any.proto"; import "core.proto";
message Rds { envoy.config.core.v3.ConfigSource config_source = 1; string route_config_name = 2; }
message HttpFilter { string name = 1; google.protobuf.Any typed_config = 4; }
message HttpConnectionManager { Rds rds = 3; repeated HttpFilter http_filters = 5; }
""",
    "router": """syntax = "proto3"; package envoy.extensions.filters.http.router.v3;
message Router {}
""",
    "route": """syntax = "proto3"; package envoy.config.route.v3;
message RouteMatch { string prefix = 1; }
message RouteAction { string cluster = 1; }
message Route { RouteMatch match = 1; RouteAction route = 2; }
message VirtualHost { string name = 1; repeated string domains = 2; repeated Route routes = 3; }
message RouteConfiguration { string name = 1; repeated VirtualHost virtual_hosts = 2; }
""",
    "cluster": """syntax = "proto3"; package envoy.config.cluster.v3;
import "core.proto";
message Cluster {
  enum DiscoveryType { STATIC = 0; STRICT_DNS = 1; LOGICAL_DNS = 2; EDS = 3; }
  message EdsClusterConfig { envoy.config.core.v3.ConfigSource eds_config = 1; }
  string name = 1; DiscoveryType type = 2; EdsClusterConfig eds_cluster_config = 3;
}
""",
    "endpoint": """syntax = "proto3"; package envoy.config.endpoint.v3;
import "core.proto"; import "google/protobuf/wrappers.proto";
message Endpoint { envoy.config.core.v3.Address address = 1; }
message LbEndpoint { Endpoint endpoint = 1; }
message LocalityLbEndpoints {
  envoy.config.core.v3.Locality locality = 1; repeated LbEndpoint lb_endpoints = 2;
  google.protobuf.UInt32Value load_balancing_weight = 3;
}
message ClusterLoadAssignment {
  string cluster_name = 1; repeated LocalityLbEndpoints endpoints = 2;
}
""",
}
_STREAM = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_ADS: dict[str, Any] = {"ads": {}, "resource_api_version": 2}


@cache
def _pool() -> Any:
    return descriptor_pool(descriptor_set(**_FILES))


def _made(kind: str, /, **fields: Any) -> Any:
    """A message of Envoy's API: `config.core.v3.Address`."""
    return GetMessageClass(_pool().FindMessageTypeByName(f"envoy.{kind}"))(**fields)


def _any(message: Any) -> dict[str, Any]:
    name = message.DESCRIPTOR.full_name
    return {"type_url": f"type.googleapis.com/{name}", "value": message.SerializeToString()}


class XdsServer:
    """Tells clients where a service is: its listener, its route, its cluster, and the endpoints,
    which a test changes."""

    def __init__(self, service: str, targets: Sequence[str]) -> None:
        self.service = service
        self.target = ""
        self.rejected: list[str] = []
        """The reasons why clients have rejected an answer."""
        self.accepted: set[str] = set()
        """The kinds of resources that clients have accepted."""
        self._targets = list(targets)
        self._version = 1
        self._changed = asyncio.Condition()

    async def change(self, targets: Sequence[str]) -> None:
        """Sends clients the endpoints with these addresses."""
        async with self._changed:
            self._targets = list(targets)
            self._version += 1
            self._changed.notify_all()

    async def stream(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        """Answers each kind that is subscribed to, and again when the endpoints have changed."""
        answers: asyncio.Queue[Any] = asyncio.Queue()
        reading = asyncio.ensure_future(self._read(requests, answers))
        try:
            while True:
                yield await answers.get()
        finally:
            reading.cancel()

    async def _read(self, requests: AsyncIterator[Any], answers: asyncio.Queue[Any]) -> None:
        async with asyncio.TaskGroup() as tasks:
            async for request in requests:
                kind = request.type_url.rpartition(".")[2]
                if request.error_detail.message:
                    self.rejected.append(request.error_detail.message)
                    continue
                if request.response_nonce:
                    self.accepted.add(kind)
                    continue
                await answers.put(self._answer(request.type_url))
                if kind == "ClusterLoadAssignment":
                    tasks.create_task(self._send_changes(request.type_url, answers))

    async def _send_changes(self, type_url: str, answers: asyncio.Queue[Any]) -> None:
        while True:
            async with self._changed:
                await self._changed.wait()
            await answers.put(self._answer(type_url))

    def _answer(self, type_url: str) -> Any:
        made = getattr(self, f"_{type_url.rpartition('.')[2].lower()}")()
        return _made(
            "service.discovery.v3.DiscoveryResponse",
            version_info=str(self._version),
            resources=[_any(made)],
            type_url=type_url,
            nonce=str(self._version),
        )

    def _listener(self) -> Any:
        manager = _made(
            "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            rds={"config_source": _ADS, "route_config_name": "route"},
            http_filters=[
                {
                    "name": "r",
                    "typed_config": _any(_made("extensions.filters.http.router.v3.Router")),
                }
            ],
        )
        api_listener = {"api_listener": _any(manager)}
        return _made("config.listener.v3.Listener", name=self.service, api_listener=api_listener)

    def _routeconfiguration(self) -> Any:
        route = {"match": {"prefix": "/"}, "route": {"cluster": "cluster"}}
        host = {"name": "all", "domains": ["*"], "routes": [route]}
        return _made("config.route.v3.RouteConfiguration", name="route", virtual_hosts=[host])

    def _cluster(self) -> Any:
        eds = {"eds_config": _ADS}
        return _made("config.cluster.v3.Cluster", name="cluster", type=3, eds_cluster_config=eds)

    def _clusterloadassignment(self) -> Any:
        endpoints = []
        for target in self._targets:
            host, _, port = target.rpartition(":")
            address = {"socket_address": {"address": host, "port_value": int(port)}}
            endpoints.append({"endpoint": {"address": address}})
        locality = {
            "locality": {"region": "r", "zone": "z"},
            "lb_endpoints": endpoints,
            "load_balancing_weight": {"value": 1},
        }
        return _made(
            "config.endpoint.v3.ClusterLoadAssignment", cluster_name="cluster", endpoints=[locality]
        )


@asynccontextmanager
async def xds_server(service: str, targets: Sequence[str]) -> AsyncIterator[XdsServer]:
    """A server that says that `service` is at these addresses, until a test changes them."""
    server, listening = XdsServer(service, targets), grpc.aio.server()
    request = _made("service.discovery.v3.DiscoveryRequest")
    handler: Any = grpc.stream_stream_rpc_method_handler(
        server.stream,
        request_deserializer=type(request).FromString,
        response_serializer=lambda answer: answer.SerializeToString(),
    )
    handlers = {"StreamAggregatedResources": handler}
    listening.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_STREAM, handlers),))
    server.target = f"127.0.0.1:{listening.add_insecure_port('127.0.0.1:0')}"
    await listening.start()
    try:
        yield server
    finally:
        await listening.stop(None)
