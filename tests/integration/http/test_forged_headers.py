"""Headers that a client would forge, before a real back end."""

from gateway.app.gateway import Gateway
from tests.support.http import connected, echo_gateway

FORGED = [
    *("X-Forwarded-User: root", "X_Forwarded_Email: root@a", "X-Forwarded-Groups-Bin: QQ=="),
    *("X-Real-IP: 6.6.6.6", "X-Original-URL: /admin", "X-Envoy-Internal: true"),
    *("x_principal: root", "X-Principal-Scopes-Bin: QQ==", "X-Principal-Claim_Admin: 1"),
    *("X-Forwarded.Email: root@a", "X.Real.IP: 6.6.6.6", "X-Principal.Scopes: admin"),
    *("X-Forwarded: root", "Client-Cert: :QQ==:", "Client-Cert-Chain: :QQ==:"),  # RFC 9440
    *("X-Forwarded-For: 6.6.6.6", "X-Mine: 1"),
]


async def seen(gateway: Gateway) -> dict[str, str]:
    """The metadata that a back end saw of the forged headers."""
    async with connected(gateway) as client:
        answer = await client.get("/v1/echo/hello", *FORGED)
        assert (await client.get("/v1/echo/hello", *FORGED)).json() != {}
    assert answer.status == 200
    told = {one["name"]: one.get("value", "") for one in answer.json()["metadata"]}
    ours = ("x-request-id", "user-agent", "host", "accept", "content-type", "te", "grpc-")
    return {name: value for name, value in told.items() if not name.startswith(ours)}


async def test_a_back_end_sees_nothing_that_its_client_forged() -> None:
    async with echo_gateway() as gateway:
        told = await seen(gateway)
    assert told == {
        "x-mine": "1",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-host": "test",
        "x-forwarded-proto": "http",
    }


async def test_a_trusted_proxy_hands_on_what_settings_name() -> None:
    forwarded = {"trusted_proxies": ["127.0.0.0/8"], "hand_on": ["x-forwarded-user", "x-real-ip"]}
    async with echo_gateway(forwarded=forwarded) as gateway:
        told = await seen(gateway)
    assert told["x-forwarded-user"] == "root"
    assert told["x-real-ip"] == "6.6.6.6"
    assert not {"x_forwarded_email", "x-original-url", "x_principal"} & set(told)


async def test_what_is_handed_on_is_not_taken_from_others() -> None:
    forwarded = {"trusted_proxies": ["10.0.0.0/8"], "hand_on": ["x-forwarded-*", "x-real-ip"]}
    async with echo_gateway(forwarded=forwarded) as gateway:
        assert not {"x-forwarded-user", "x-real-ip"} & set(await seen(gateway))
