"""The composition of a site: what is made once, in which order it stands, and what is refused."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.app import guards, site
from gateway.app.open_site import OpenSite
from gateway.app.schema_loading import load_schema
from gateway.app.site import compose, counters_url
from gateway.call import Call, Handler, Interceptor, Reply, chain
from gateway.config.log import LogOptions
from gateway.config.model import Config
from gateway.exchange import site as exchange_site
from gateway.exchange.exchange import Exchange
from gateway.http.forwarded import Forwarding
from gateway.interceptors.decode import Decode
from gateway.policy.deadlines import Deadlines
from gateway.policy.options import PolicyError
from gateway.schema.catalog import Schema, SchemaError
from gateway.status import Code
from gateway.telemetry.logs.opening import open_logs
from gateway.upstream.pool import Pool, PoolError
from gateway.upstream.reflection import ReflectionError
from tests.support import shelves
from tests.support.channel import ScriptedChannel
from tests.support.front_end import schema
from tests.support.site import PEER, Records, make_request

OFF: dict[str, Any] = {"access": "off", "events": "off", "audit": "off"}


class Composing:
    """Composes sites before one scripted channel, and closes what they open."""

    def __init__(self, stack: AsyncExitStack, records: Records) -> None:
        self.stack = stack
        self.records = records
        self.channel = ScriptedChannel(Reply(b"\x0a\x01x"))

    async def site(
        self,
        *own: Interceptor,
        of: Schema | None = None,
        rehearsal: bool = False,
        **settings: Any,
    ) -> OpenSite:
        config = Config.model_validate({"upstreams": {"front": {"target": "h:1"}}} | settings)
        pool = Pool(config.upstreams, {"front": self.channel})
        logs = await self.stack.enter_async_context(open_logs(LogOptions(**OFF)))
        logs.observers.append(self.records)
        return await compose(
            *(config, pool, of or schema(), {}),
            logs=logs,
            stack=self.stack,
            interceptors=own,
            rehearsal=rehearsal,
        )


@pytest.fixture
async def composing() -> AsyncIterator[Composing]:
    async with AsyncExitStack() as stack:
        yield Composing(stack, Records())


def count(monkeypatch: pytest.MonkeyPatch, kind: type, *modules: Any) -> list[object]:
    """Everything of a kind that these modules make from now on."""
    made: list[object] = []

    def make(*args: Any, **named: Any) -> object:
        made.append(kind(*args, **named))
        return made[-1]

    for module in modules:
        monkeypatch.setattr(module, kind.__name__, make)
    return made


@pytest.mark.parametrize("kind", [Forwarding, Deadlines])
async def test_forwarding_and_deadlines_are_made_once(
    composing: Composing, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    made = count(monkeypatch, kind, site, exchange_site)
    await composing.site(
        cors={"origins": ["https://a.example"]},
        forwarded={"trusted_proxies": ["10.0.0.0/8"]},
        security_headers={"enabled": True},
    )
    assert len(made) == 1


async def passing(call: Call, proceed: Handler) -> Reply:
    return await proceed(call)


async def test_a_call_passes_its_stages_in_one_order(
    composing: Composing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[list[str]] = []

    def keep(stages: Sequence[Interceptor], last: Handler) -> Handler:
        seen.append([getattr(one, "__name__", type(one).__name__) for one in stages])
        return chain(stages, last)

    monkeypatch.setattr(guards, "chain", keep)
    opened = await composing.site(
        passing,
        of=shelves.schema(),
        auth={"store": f"sqlite:///{tmp_path}/g.db", "keys": {"header": "X-Api-Key"}},
        policies=[
            {
                "selector": "*",
                "scopes": {"all": ["read"]},
                "rate_limits": [{"limit": 1, "window_s": 60}],
                "max_concurrent": 3,
            }
        ],
        deadlines={"methods": [{"selector": "*", "idle_s": 5}]},
    )
    stages = [
        "Authorize",
        "LocalLimit",
        "ConcurrencyLimit",
        "passing",
        "Decode",
        "Identify",
    ]
    by_name = dict(zip([one.name for one in opened.schema.methods.values()], seen, strict=True))
    assert by_name["GetBook"] == ["Authenticate", *stages]
    assert by_name["Watch"] == ["AuthenticateStream", *stages, "IdleLimit"]


async def test_without_settings_a_call_is_decoded_and_sent_and_nothing_more(
    composing: Composing, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Sequence[Interceptor]] = []

    def keep(stages: Sequence[Interceptor], last: Handler) -> Handler:
        seen.append(stages)
        return chain(stages, last)

    monkeypatch.setattr(guards, "chain", keep)
    opened = await composing.site()
    assert [list(map(type, stages)) for stages in seen] == [[Decode]] * 4
    response = await Exchange(opened.site).answer(make_request())
    assert (response.status, len(composing.channel.asked)) == (200, 1)


async def test_an_observer_is_told_with_every_log_off(composing: Composing) -> None:
    opened = await composing.site()
    await Exchange(opened.site).answer(make_request())
    assert [(one.path, one.code) for one in composing.records] == [("/v1/items/a", Code.OK)]


PREFLIGHT = {"Origin": "https://a.example", "Access_Control_Request_Method": "GET"}


async def test_the_ring_asks_for_the_network_then_answers_preflights_then_credentials(
    composing: Composing, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "cors": {"origins": ["https://a.example"]},
        "auth": {"store": f"sqlite:///{tmp_path}/g.db", "anonymous": False},
    }
    token = f"/v1/items/a?access_token=gwt_{'a' * 49}"
    open_to_all = Exchange((await composing.site(**settings)).site)
    assert (await open_to_all.answer(make_request(token, "OPTIONS", **PREFLIGHT))).status == 204
    assert (await open_to_all.answer(make_request(token))).status == 400
    closed = Exchange(
        (
            await composing.site(
                **settings, filters=[{"name": "no", "deny_networks": [f"{PEER}/32"]}]
            )
        ).site
    )
    assert (await closed.answer(make_request(token, "OPTIONS", **PREFLIGHT))).status == 403


async def test_what_a_site_was_made_of_stands_beside_it(composing: Composing) -> None:
    opened = await composing.site()
    assert opened.schema is schema()
    assert opened.site.transcoder is opened.transcoder
    assert len(opened.transcoder.bindings) == 4
    assert any("no kind of credential is set" in warning for warning in opened.warnings)


async def test_a_method_without_a_policy_is_refused_where_each_needs_one(
    composing: Composing,
) -> None:
    with pytest.raises(PolicyError) as raised:
        await composing.site(require_policy=True)
    assert len(str(raised.value).splitlines()) == 4
    await composing.site(require_policy=True, policies=[{"selector": "*", "anonymous": True}])


async def test_a_service_without_a_back_end_is_refused(composing: Composing) -> None:
    with pytest.raises(PoolError, match=r"front\.v1\.Front"):
        await composing.site(upstreams={"front": {"target": "h:1", "services": ["other.*"]}})


class Opened:
    """An interceptor that counts how often it is opened and closed."""

    entered = exited = 0

    async def __aenter__(self) -> Interceptor:
        Opened.entered += 1
        return passing

    async def __aexit__(self, *_: object) -> None:
        Opened.exited += 1


@pytest.mark.parametrize("rehearsal", [False, True])
async def test_interceptors_are_opened_and_closed_with_the_site_but_not_in_a_rehearsal(
    rehearsal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Opened, "entered", 0)
    monkeypatch.setattr(Opened, "exited", 0)
    async with AsyncExitStack() as stack:
        composing = Composing(stack, Records())
        await composing.site(rehearsal=rehearsal, interceptors=[{"use": f"{__name__}:Opened"}])
        assert (Opened.entered, Opened.exited) == (int(not rehearsal), 0)
    assert Opened.exited == Opened.entered


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        pytest.param({}, "memory:", id="nothing is set"),
        pytest.param({"auth": {"store": "sqlite:///a"}}, "memory:", id="one process, one file"),
        pytest.param(
            {"auth": {"store": "sqlite:///a"}, "workers": 2}, "sqlite:///a", id="several workers"
        ),
        pytest.param(
            {"auth": {"store": "redis://h"}}, "redis://h", id="a server, shared by machines"
        ),
        pytest.param(
            {"auth": {"store": "redis://h"}, "rate_limits": {"store": "memory:"}},
            "memory:",
            id="a store of their own",
        ),
    ],
)
def test_calls_are_counted_no_farther_away_than_needed(settings: dict[str, Any], url: str) -> None:
    assert counters_url(Config.model_validate(settings)) == url


async def test_limits_of_workers_that_count_alone_are_warned_of(composing: Composing) -> None:
    opened = await composing.site(
        workers=2,
        policies=[{"selector": "*", "rate_limits": [{"limit": 1, "window_s": 60}]}],
    )
    assert any("each worker counts calls alone" in warning for warning in opened.warnings)


async def test_a_configuration_without_a_schema_is_refused() -> None:
    with pytest.raises(SchemaError, match="give --descriptors FILE"):
        await load_schema(Config(), Pool({}, {}))
    with pytest.raises(ReflectionError, match="needs an --upstream"):
        await load_schema(Config(reflect=True), Pool({}, {}))
