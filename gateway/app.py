"""The composition root: `Config` in, running `Gateway` out.

The only place that names concrete classes, and the order of the guards.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from gateway.call import Handler, Interceptor, chain
from gateway.config.model import Config
from gateway.frontend.exchange import Exchange
from gateway.frontend.server import open_listener
from gateway.schema.catalog import HttpRule, Method, Schema, SchemaError, build_schema
from gateway.schema.service_config import read_service_config
from gateway.schema.sources import DescriptorFiles
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from gateway.upstream.channel import Channel
from gateway.upstream.invoke import invoke
from gateway.upstream.pool import Pool, open_pool
from gateway.upstream.reflection import ReflectionError, reflect


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway."""

    address: str
    """Where it listens: `host:port`, with the real port, or `unix:/path`."""
    schema: Schema
    transcoder: Transcoder

    @property
    def url(self) -> str:
        """What a client on this machine can ask, without a trailing slash."""
        return f"http://{self.address}"


@asynccontextmanager
async def open_gateway(
    config: Config, *, interceptors: Sequence[Interceptor] = ()
) -> AsyncIterator[Gateway]:
    """A gateway that serves while the block runs; all it opened is closed in reverse.

    Calls pass `interceptors`, first to last, before they leave for their back end.

    Raises:
        SchemaError, RulesError, ReflectionError, PoolError, ListenError: it cannot start; the text
            says why.
    """
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(config.upstreams))
        schema, reflected = await load_schema(config, pool)
        transcoder = build_transcoder(config, schema)
        channels = pool.assign(_services_with_routes(transcoder), reflected)
        handlers = _handlers(transcoder, channels, interceptors)
        exchange = await stack.enter_async_context(Exchange.open(config, transcoder, handlers))
        listener = await stack.enter_async_context(open_listener(config, exchange))
        yield Gateway(listener.address, schema, transcoder)


async def load_schema(config: Config, pool: Pool) -> tuple[Schema, Mapping[str, str]]:
    """What `config` says can be called, and which upstream said so of itself by reflection.

    Raises:
        SchemaError: no source is given, or what they give does not fit together.
        ReflectionError: an upstream cannot be asked.
    """
    if not (config.descriptors or config.modules or config.reflect):
        raise SchemaError(
            "nothing says what can be called: "
            "give --descriptors FILE, --module PACKAGE or --reflect"
        )
    files = DescriptorFiles()
    for path in config.descriptors:
        files.add_set(path)
    for module in config.modules:
        files.add_module(module)
    reflected = await _reflect(config, pool, files) if config.reflect else {}
    overrides: dict[str, tuple[HttpRule, ...]] = {}
    for path in config.service_config:
        overrides |= read_service_config(path)
    schema = build_schema(
        files.complete(),
        services=config.services,
        overrides=overrides,
        unannotated=config.routing.unannotated,
    )
    return schema, reflected


async def _reflect(config: Config, pool: Pool, files: DescriptorFiles) -> dict[str, str]:
    if not config.upstreams:
        raise ReflectionError("--reflect needs an --upstream to ask")
    owners: dict[str, str] = {}
    for name in config.upstreams:
        found = await reflect(name, pool[name])
        files.add_serialized(found.files, f"upstream {name}")
        for service in found.services:
            owners.setdefault(service, name)
    return owners


def _services_with_routes(transcoder: Transcoder) -> Sequence[str]:
    return list(dict.fromkeys(binding.method.service for binding in transcoder.bindings))


def _handlers(
    transcoder: Transcoder, channels: Mapping[str, Channel], interceptors: Sequence[Interceptor]
) -> dict[Method, Handler]:
    """The chain of each method, composed once."""
    methods = dict.fromkeys(binding.method for binding in transcoder.bindings)
    return {method: chain(interceptors, invoke(channels[method.service])) for method in methods}
