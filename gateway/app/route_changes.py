"""The difference between the routes of two sites, one line for each route."""

from collections.abc import Iterator, Mapping

from gateway.exchange.site import Site
from gateway.policy.effective import summary

_Routes = Mapping[str, str]
"""The RPC method and its policy, by HTTP method and path template."""


def route_changes(before: Site, after: Site) -> Iterator[str]:
    """Yields `+` for each route that is new, `-` for one that is gone, `~` for one that differs."""
    old, new = _routes(before), _routes(after)
    for route in sorted(old.keys() | new.keys()):
        if route not in old:
            yield f"+ {route}: {new[route]}"
        elif route not in new:
            yield f"- {route}: {old[route]}"
        elif old[route] != new[route]:
            yield f"~ {route}: {old[route]} -> {new[route]}"


def _routes(site: Site) -> _Routes:
    policies = site.policies or {}
    routes = {}
    for binding in site.transcoder.bindings:
        policy = policies.get(binding.method)
        about = "" if policy is None else summary(policy)
        text = f"{binding.method.full_name} ({about})" if about else binding.method.full_name
        routes[f"{binding.http_method} {binding.template}"] = text
    return routes
