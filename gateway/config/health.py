"""Settings of the health check on the public port."""

from typing import Annotated

from pydantic import AfterValidator

from gateway.config.sections import Section, Words


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or set(text) & set("?#% {}"):
        raise ValueError("expected a path without a query, such as /healthz")
    return text


class HealthOptions(Section):
    """The health check on the public port, for load balancers."""

    path: Annotated[str, AfterValidator(_path), Words("a path", "/healthz")] | None = None
    """The path that answers 200 while the gateway is ready, and 503 while it drains; without logs,
    credentials, filters and limits. Unset for none."""
