"""Composes the last handler of each method: where its calls go."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from gateway.call import Handler, Interceptor, chain
from gateway.config.model import Config
from gateway.schema.catalog import Method
from gateway.upstream.fallback import Fallback
from gateway.upstream.invoke import invoke
from gateway.upstream.pool import Pool
from gateway.upstream.splitting import split_calls

Measured = Callable[[Method, str], Sequence[Interceptor]]
"""The stages that measure calls of a method to the upstream of this name."""


class Destinations:
    """The upstreams that calls of methods go to; decided once per site."""

    def __init__(
        self,
        config: Config,
        pool: Pool,
        methods: Sequence[Method],
        reflected: Mapping[str, str],
    ) -> None:
        """Takes `reflected`, the upstream of each service that was found by reflection.

        Raises:
            PoolError: no upstream serves the service of a method, or several claim it equally.
        """
        services = list(dict.fromkeys([method.service for method in methods]))
        channels = pool.assign(services, reflected)
        self._owners = {service: pool.name_of(one) for service, one in channels.items()}
        self._splits = config.splits
        self._pool = pool
        self._random = Random()  # noqa: S311 - the choice of an upstream is no secret
        self._fallbacks = {
            name: (Fallback(name, one.fallback), one.fallback)
            for name, one in config.upstreams.items()
            if one.fallback is not None
        }

    def split_of(self, method: Method) -> str | None:
        """The name of the first split that may take calls of a method; None if none does."""
        return next((one.name for one in self._splits if one.takes(method.full_name)), None)

    def last(self, method: Method, measured: Measured) -> Handler:
        """The handler that sends the calls of a method; without settings for it, to one channel."""

        def to(name: str) -> Handler:
            handler = chain(measured(method, name), invoke(self._pool[name]))
            if name not in self._fallbacks:
                return handler
            fallback, other = self._fallbacks[name]
            return fallback.between(handler, to(other))

        owner = to(self._owners[method.service])
        splits = [one for one in self._splits if one.takes(method.full_name)]
        return split_calls(splits, to, owner, self._random) if splits else owner
