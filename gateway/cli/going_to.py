"""The upstreams that calls of a method would go to, in words."""

from collections.abc import Iterator

from gateway.config.model import Config
from gateway.upstream.pool import claimants


def upstreams_of(config: Config, service: str, method_full_name: str) -> Iterator[str]:
    """Yields where calls go, in the order in which they are asked: splits, then an upstream.

    No upstream is asked for its services: one that only reflection could tell is not known.
    """
    for split in config.splits:
        if split.takes(method_full_name):
            yield str(split)
            if not split.match:
                return
    names = claimants(config.upstreams, service)
    if len(names) > 1:
        yield f"the one of {', '.join(names)} that has {service}"
    elif names:
        fallback = config.upstreams[names[0]].fallback
        yield names[0] + ("" if fallback is None else f", or {fallback} if it is unreachable")
