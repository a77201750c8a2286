"""The example of the documentation, as it stands there, in a gateway."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import Call, Config, Handler, InterceptorMetrics, Reply, open_gateway
from gateway.status import Code, StartUpError, StatusError
from tests.integration.http.test_metrics_of_parts import of
from tests.support.http import connected, echo_gateway

PAGE = Path(__file__).parents[3] / "docs" / "interceptors.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    (python,), (settings,) = blocks("python"), blocks("yaml")
    (tmp_path / "tenants.py").write_text(python)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tenants", raising=False)
    read: dict[str, object] = yaml.safe_load(settings)
    return read


async def test_the_example_serves_whom_it_says(example: dict[str, object]) -> None:
    async with echo_gateway(**example) as gateway, connected(gateway) as client:
        answer = await client.get("/v1/echo/hello", "X-Tenant: acme")
        assert answer.status == 200
        assert {"name": "tenant", "value": "acme"} in answer.json()["metadata"]
        again = await client.get("/v1/echo/hello", "X-Tenant: acme")
        assert again.header("X-Tenant-Calls") == "2"


async def test_the_example_counts_what_it_says(example: dict[str, object]) -> None:
    async with echo_gateway(**example) as gateway, connected(gateway) as client:
        for tenant in ("acme", "acme", "globex", "nobody"):
            await client.get("/v1/echo/hello", f"X-Tenant: {tenant}")
        assert of(gateway, "tenant_calls_total") == {("acme",): 2, ("globex",): 1}
        # The interceptors of new settings go on with the counters of those before.
        await gateway.reload(gateway.config)
        await client.get("/v1/echo/hello", "X-Tenant: acme")
        assert of(gateway, "tenant_calls_total") == {("acme",): 3, ("globex",): 1}


@pytest.mark.parametrize("path", ["/v1/echo/hello", "/v1/echo/hello:repeat?count=2"])
async def test_the_example_refuses_the_others(example: dict[str, object], path: str) -> None:
    async with echo_gateway(**example) as gateway, connected(gateway) as client:
        for fields in ((), ("X-Tenant: nobody",)):
            answer = await client.get(path, *fields)
            assert answer.status == 403
            assert answer.json()["error"]["message"] == "X-Tenant names no tenant"


class Wrong:
    """Registers a name that is the gateway's."""

    def use_metrics(self, metrics: InterceptorMetrics) -> None:
        metrics.counter("gateway_calls", "Calls")

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        return await proceed(call)


async def test_a_metric_that_cannot_be_registered_keeps_the_gateway_from_starting() -> None:
    config = Config.model_validate(
        {"modules": ["gen.echo.v1"], "upstreams": {"echo": {"target": "127.0.0.1:1"}}}
    )
    with pytest.raises(StartUpError, match=r"Wrong\.use_metrics failed: gateway_calls: expected"):
        async with open_gateway(config, interceptors=[Wrong()]):
            pass


class Silent:
    """Returns no reply."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        await proceed(call)
        return None  # type: ignore[return-value]


class Plain:
    """Returns no reply, at once."""

    def __call__(self, call: Call, proceed: Handler) -> Reply:
        return None  # type: ignore[return-value]


@pytest.mark.parametrize("wrong", [Silent, Plain])
@pytest.mark.parametrize("path", ["/v1/echo/hello", "/v1/echo/hello:repeat?count=2"])
async def test_an_interceptor_without_a_reply_is_named_in_the_log(
    wrong: type, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        echo_gateway(interceptors=[{"use": f"{__name__}:{wrong.__name__}"}]) as gateway,
        connected(gateway) as client,
    ):
        for _ in range(2):  # the connection goes on
            answer = await client.get(path)
            assert answer.status == 500
            assert answer.json()["error"]["message"] == "internal error"
    assert f"the interceptor {wrong.__name__} returned NoneType; expected a Reply" in caplog.text


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (5, "interceptors: 5 cannot be called: give it async __call__"),
        (Wrong, "Wrong'> is a class: pass an object of it"),
        (lambda call: call, "must take two arguments"),
    ],
)
async def test_what_is_no_interceptor_keeps_the_gateway_from_starting(
    given: Any, reason: str
) -> None:
    config = Config.model_validate(
        {"modules": ["gen.echo.v1"], "upstreams": {"echo": {"target": "127.0.0.1:1"}}}
    )
    with pytest.raises(StartUpError, match=reason):
        async with open_gateway(config, interceptors=[given]):
            pass


async def test_an_interceptor_sees_the_calls_that_later_stages_refuse() -> None:
    seen: list[Code] = []

    async def note(call: Call, proceed: Handler) -> Reply:
        try:
            return await proceed(call)
        except StatusError as error:
            seen.append(error.code)
            raise StatusError(Code.NOT_FOUND, f"hidden: {error}") from None

    async with echo_gateway(note) as gateway, connected(gateway) as client:
        answer = await client.get("/v1/echo/hello?nothing=1")
        assert (answer.status, seen) == (404, [Code.INVALID_ARGUMENT])
        assert answer.json()["error"]["message"].startswith("hidden: nothing")
        assert (await client.get("/v1/echo/hello")).status == 200
