"""Composes the last handler of each method: where its calls go."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Final

from gateway.call import Handler, Method
from gateway.config.model import Config
from gateway.upstream.fallback import Fallback
from gateway.upstream.faults import with_faults
from gateway.upstream.invoke import MeasureOf, invoke
from gateway.upstream.mirroring import Mirroring
from gateway.upstream.pool import Pool, PoolError
from gateway.upstream.splitting import condition, split_calls

_COPIED: Final = "unary method without side effects"


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
            StartUpError: the settings of an upstream do not go with its methods.
        """
        services = list(dict.fromkeys([method.service for method in methods]))
        channels = pool.assign(services, reflected)
        self._owners = {service: pool.name_of(one) for service, one in channels.items()}
        self._methods = methods
        self._splits = config.splits
        self._pool = pool
        self._random = Random()  # noqa: S311 - the choice of an upstream is no secret
        self._fault_rules = config.faults.rules
        self._faults = self._fault_rules if config.faults.enabled else ()
        self._mirrors = [(one, Mirroring(one, self._random)) for one in config.mirrors]
        self._fallbacks = {
            name: (Fallback(name, one.fallback), one.fallback)
            for name, one in config.destinations.items()
            if one.fallback is not None
        }
        self._check(config)

    def _check(self, config: Config) -> None:
        """Checks the settings of each upstream with the methods whose calls may go there: all of
        them, if a split, a mirror or a fallback leads there."""
        others = {one.fallback for one in config.destinations.values()}
        others |= {one.to for one in config.mirrors}
        others |= {arm.name for split in config.splits for arm in split.to}
        for name in self._pool:
            own = [one for one in self._methods if self._owners[one.service] == name]
            methods = self._methods if name in others else own
            if config.destinations[name].hedging_policy is not None:
                _check_hedged(name, methods)
            channel = self._pool.checks(name)
            if channel is not None:
                channel.check(methods)

    def split_of(self, method: Method) -> str | None:
        """The name of the first split that may take calls of a method; None if none does."""
        return next((one.name for one in self._splits if one.takes(method.full_name)), None)

    def selectors(self) -> Iterator[tuple[str, str, list[str], str]]:
        """Yields each selector after its setting, with the methods one of which it must select, and
        their kind in words."""
        served = [method.full_name for method in self._methods]
        copied = [method.full_name for method in self._methods if method.may_be_copied]
        for number, split in enumerate(self._splits):
            yield f"splits[{number}].selector", split.selector, served, "method"
        for number, (mirror, _) in enumerate(self._mirrors):
            yield f"mirrors[{number}].selector", mirror.selector, copied, _COPIED
        # Also those that are off: a mistake must not wait for the day when they are needed.
        for number, fault in enumerate(self._fault_rules):
            yield f"faults.rules[{number}].selector", fault.selector, served, "method"

    def last(self, method: Method, measure_of: MeasureOf) -> Handler:
        """The handler that sends the calls of a method; without settings for it, to one channel."""

        def to(name: str) -> Handler:
            handler = invoke(self._pool[name], measure=measure_of(method, name))
            if name not in self._fallbacks:
                return handler
            fallback, other = self._fallbacks[name]
            return fallback.between(handler, to(other))

        last = to(self._owners[method.service])
        splits = [one for one in self._splits if one.takes(method.full_name)]
        if splits:
            last = split_calls(splits, to, last, self._random)
        for mirror, mirroring in self._mirrors if method.may_be_copied else ():
            if mirror.takes(method.full_name):
                last = mirroring.beside(last, to(mirror.to))
        taking = [one for one in self._faults if one.takes(method.full_name)]
        faults = [(condition(one.match), one) for one in taking]
        return with_faults(faults, last, self._random) if faults else last

    async def close(self) -> None:
        """Cancels the copies of calls that are under way."""
        for _, mirroring in self._mirrors:
            await mirroring.close()


def _check_hedged(upstream: str, methods: Sequence[Method]) -> None:
    if methods and not any(one.declares_repeatable for one in methods):
        raise PoolError(
            f"upstreams.{upstream}.hedging_policy: expected methods whose idempotency_level is "
            "NO_SIDE_EFFECTS or IDEMPOTENT, because servers may process hedged calls more than "
            "once; none of the methods that go there has it"
        )
