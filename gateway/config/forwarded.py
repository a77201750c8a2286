"""Options for proxies in front of the gateway, and for forwarded headers."""

from gateway.config.sections import Network, Section


class ForwardedOptions(Section):
    """The client's address, host and protocol for back ends."""

    trusted_proxies: tuple[Network, ...] = ()
    """Networks of proxies whose `Forwarded` and `X-Forwarded-*` are trusted and extended."""
    send: bool = True
    """Send x-forwarded-for, -host and -proto as metadata."""
    withhold: tuple[str, ...] = (
        "x-forwarded",
        "x-real-ip",
        "true-client-ip",
        "client-ip",
        "x-client-ip",
        "client-cert",
        "client-cert-chain",
        "x-client-cert*",
        "x-cluster-client-ip",
        "cf-connecting-*",
        "fastly-client-ip",
        "x-envoy-*",
        "x-original-*",
        "x-rewrite-*",
        "x-ssl-client-*",
        "ssl-client-*",
    )
    """Request headers, besides `x-forwarded-*`, that clients cannot set for back ends, because they
    usually come from proxies; a trailing `*` is a prefix; `-`, `_` and `.` are equal."""
    hand_on: tuple[str, ...] = ()
    """Those of `withhold` and of `x-forwarded-*` that trusted proxies can set for back ends; the
    proxies must overwrite them in requests of clients; a trailing `*` is a prefix."""
