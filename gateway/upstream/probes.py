"""Asks an endpoint outside its gRPC connection if it is well: by HTTP, or by connecting alone."""

from dataclasses import replace

from gateway.config.health_checks import HealthCheckKind, HealthCheckOptions
from gateway.upstream.channels.http2.address import Address, why
from gateway.upstream.channels.user_agent import USER_AGENT
from gateway.upstream.http1_probe import probe_http1, probe_tcp
from gateway.upstream.http2_probe import probe_http2

__all__ = ["Address", "HealthCheckOptions", "Probe"]


class Probe:
    """The checks of one endpoint, each on a connection of its own."""

    def __init__(self, options: HealthCheckOptions, address: Address) -> None:
        """Takes the address of the calls: the checks may go to another port of it."""
        self._options = options
        tls = address.tls if options.http2 else address.health_tls
        self._address = replace(address.on_port(options.port), tls=tls if options.by_tls else None)

    async def ask(self) -> tuple[str, bool]:
        """Returns the reason why the endpoint is not well, empty if it is; and true if that counts
        at once, as statuses of 500 and more do (Envoy)."""
        options = self._options
        try:
            if options.kind is HealthCheckKind.TCP:
                await probe_tcp(self._address)
                return "", False
            if options.http2:
                status = await probe_http2(self._address, options.path, USER_AGENT)
            else:
                status = await probe_http1(self._address, options.path)
        except OSError as error:
            return f"its health check failed: {why(error)}", False
        except ValueError:
            return f"the answer to its health check is not HTTP/{2 if options.http2 else 1}", False
        if status in options.expect:
            return "", False
        return f"its health check was answered with {status}", status >= 500
