"""A selector that selects nothing keeps the gateway from starting, in every setting."""

from typing import Any

import pytest

from gateway.app.gateway import open_gateway
from gateway.call import Call, Handler, Reply
from gateway.cli.checks import check
from gateway.config.model import Config
from gateway.status import StartUpError
from tests.support.http import echo_gateway


def config(**settings: Any) -> Config:
    return Config.model_validate(
        {"listen": "127.0.0.1:0", "modules": ["gen.echo.v1"], "log": {"access": "off"}} | settings
    )


def upstream(*services: str) -> dict[str, Any]:
    return {"upstreams": {"echo": {"target": "127.0.0.1:1", "services": services}}}


def two_upstreams(**settings: Any) -> dict[str, Any]:
    return {
        "upstreams": {
            "echo": {"target": "127.0.0.1:1", "services": ["*"]},
            "other": {"target": "127.0.0.1:2", "services": []},
        }
    } | settings


TYPO = "echo.v1.EchoServise.*"
SAYS = f"selector: no method is called {TYPO}; available: echo.v1.EchoService.*"


WRONG = [
    pytest.param(
        upstream() | {"policies": [{"selector": "echo.v1.EchoService.Ecko", "cost": 2}]},
        "policies[0].selector: no method is called echo.v1.EchoService.Ecko; "
        "available: echo.v1.EchoService.Echo",
        id="policies",
    ),
    pytest.param(
        upstream() | {"deadlines": {"methods": [{"selector": "echo.v1.EchoServise.*"}]}},
        "deadlines.methods[0].selector: no method is called echo.v1.EchoServise.*; "
        "available: echo.v1.EchoService.*",
        id="deadlines",
    ),
    pytest.param(
        upstream() | {"deadlines": {"methods": [{"selector": "echo.v1.Ech*", "default_s": 1}]}},
        "for example echo.v1.EchoService.*",
        id="deadlines in a form that was taken once",
    ),
    pytest.param(
        upstream() | {"services": ["echo.v1.EchoServise"]},
        "no service is called echo.v1.EchoServise; available: echo.v1.EchoService",
        id="services",
    ),
    pytest.param(
        upstream("*", "echo.v1.EchoServise"),
        "upstreams.echo.services[1]: no service is called echo.v1.EchoServise; "
        "available: echo.v1.EchoService",
        id="upstreams",
    ),
    pytest.param(
        upstream() | {"routing": {"prefer": [TYPO]}},
        f"routing.prefer[0]: no method is called {TYPO}; available: echo.v1.EchoService.*",
        id="routing.prefer",
    ),
    pytest.param(
        upstream() | {"routing": {"exclude": ["*", TYPO]}},
        f"routing.exclude[1]: no method is called {TYPO}; available: echo.v1.EchoService.*",
        id="routing.exclude",
    ),
    pytest.param(
        upstream() | {"interceptors": [{"use": f"{__name__}:Passes", "selector": TYPO}]},
        f"interceptors[0].{SAYS}",
        id="interceptors",
    ),
    pytest.param(
        two_upstreams(
            splits=[{"name": "new", "selector": TYPO, "to": [{"upstream": "other"}]}],
        ),
        f"splits[0].{SAYS}",
        id="splits",
    ),
    pytest.param(
        two_upstreams(mirrors=[{"selector": TYPO, "to": "other"}]),
        f"mirrors[0].selector: no unary method without side effects is called {TYPO}",
        id="mirrors",
    ),
    pytest.param(
        upstream() | {"faults": {"enabled": True, "rules": [{"selector": TYPO, "delay_s": 1}]}},
        f"faults.rules[0].{SAYS}",
        id="faults",
    ),
    pytest.param(
        upstream() | {"faults": {"rules": [{"selector": TYPO, "delay_s": 1}]}},
        f"faults.rules[0].{SAYS}",
        id="faults that are not enabled",
    ),
]


class Passes:
    """An interceptor that adds nothing."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        return await proceed(call)


@pytest.mark.parametrize(("settings", "says"), WRONG)
async def test_a_typo_keeps_it_from_serving(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(StartUpError) as raised:
        async with open_gateway(config(**settings)):
            pass
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("settings", "says"), WRONG)
def test_check_finds_it_too(settings: dict[str, Any], says: str) -> None:
    assert any(says in fault for fault in check(config(**settings)).faults)


async def test_every_setting_takes_a_star_and_a_service_with_all_its_methods() -> None:
    for selector in ("*", "echo.*", "echo.v1.EchoService.*"):
        async with echo_gateway(
            services=[selector],
            policies=[{"selector": selector, "cost": 2}],
            deadlines={"methods": [{"selector": selector, "default_s": 3}]},
        ) as running:
            assert running.transcoder.bindings


async def test_an_upstream_may_be_for_the_authentication_server_alone() -> None:
    both = upstream("*")["upstreams"] | {
        "auth": {"target": "127.0.0.1:2", "services": ["gatewayapi.v1.*"]}
    }
    async with open_gateway(config(upstreams=both)) as running:
        assert running.transcoder.bindings


async def test_an_upstream_may_name_a_service_that_is_not_exposed() -> None:
    settings = {
        "modules": ["gen.echo.v1", "gen.library.v1"],
        "services": ["echo.*"],
        **upstream("echo.v1.EchoService", "library.v1.LibraryService"),
    }
    async with open_gateway(config(**settings)) as running:
        assert running.transcoder.bindings
