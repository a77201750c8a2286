"""What back ends are told of who is calling."""

import pytest

from gateway.call import Call, Principal
from gateway.config.auth import AuthOptions, IdentityOptions
from gateway.config.metadata import MetadataOptions
from gateway.interceptors.identify import Identify
from gateway.transcoding.metadata import MetadataError, MetadataRules
from tests.support.front_end import schema
from tests.support.upstream import Upstream

ADA = Principal("users/ada", frozenset({"write", "read"}), {"Tenant": "t1"}, "demo")


async def told(
    principal: Principal | None, options: IdentityOptions | None = None
) -> list[tuple[str, str | bytes]]:
    upstream = Upstream()
    call = Call(schema().methods["front.v1.Front.GetItem"], message=b"")
    call.principal = principal
    await Identify(options or IdentityOptions())(call, upstream)
    return call.metadata


async def test_a_back_end_is_told_name_scopes_client_and_claims() -> None:
    assert await told(ADA) == [
        ("x-principal", "users/ada"),
        ("x-principal-scopes", "read write"),
        ("x-principal-client", "demo"),
        ("x-principal-claim-tenant", "t1"),
    ]


async def test_names_are_configurable_and_claims_can_stay_behind() -> None:
    options = IdentityOptions(
        principal="x-user", scopes="x-may", client="x-via", claims_prefix=None
    )
    assert await told(ADA, options) == [
        ("x-user", "users/ada"),
        ("x-may", "read write"),
        ("x-via", "demo"),
    ]


async def test_of_nobody_nothing_is_told() -> None:
    assert await told(None) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("a b", "a b", id="a space"),
        pytest.param("Ada Ω", "Ada %CE%A9", id="beyond ASCII"),
        pytest.param("100%", "100%25", id="a percent sign"),
        pytest.param("a\r\nx-admin: 1", "a%0D%0Ax-admin: 1", id="a line end"),
        pytest.param("a\x00b", "a%00b", id="a null"),
    ],
)
async def test_what_metadata_cannot_carry_is_percent_encoded(name: str, value: str) -> None:
    assert dict(await told(Principal(name)))["x-principal"] == value


@pytest.mark.parametrize("name", ["a b", "über", "", "key-bin", "a:b", "a\n"])
async def test_a_claim_that_metadata_cannot_name_stays_behind(name: str) -> None:
    names = [name for name, _ in await told(Principal("ada", claims={name: "v", "good": "v"}))]
    assert names == ["x-principal", "x-principal-scopes", "x-principal-claim-good"]


async def test_a_signed_statement_is_made_for_the_service_that_is_called() -> None:
    call = Call(schema().methods["front.v1.Front.GetItem"], message=b"")
    call.principal = ADA
    identify = Identify(IdentityOptions(), ("x-jwt", lambda who, service: f"{who.name} {service}"))
    await identify(call, Upstream())
    assert ("x-jwt", "users/ada front.v1.Front") in call.metadata


async def test_what_is_told_of_one_is_not_told_of_the_next() -> None:
    identify = Identify(IdentityOptions())
    for number in range(3000):  # more than it remembers
        call = Call(schema().methods["front.v1.Front.GetItem"], message=b"")
        call.principal = Principal(f"users/{number}")
        await identify(call, Upstream())
        assert call.metadata[0] == ("x-principal", f"users/{number}")


@pytest.mark.parametrize(
    "header",
    [
        "X-Principal",
        "x-PRINCIPAL-scopes",
        "X-Principal-Client",
        "X-Principal-Claim-Tenant",
        "X-Principal-Claim-",
        "X-Principal-Jwt",
    ],
)
def test_a_client_cannot_set_what_back_ends_are_told(header: str) -> None:
    options = AuthOptions.model_validate({"identity": {"jwt": {"key": "key.pem"}}})
    rules = MetadataRules(MetadataOptions(), options.reserved_metadata)
    assert rules.to_metadata([(header.encode(), b"users/root"), (b"Other", b"1")]) == [
        ("other", "1")
    ]
    rename = MetadataOptions(request_rename={"renamed": header.lower()})
    with pytest.raises(MetadataError, match="is reserved"):
        MetadataRules(rename, options.reserved_metadata)


@pytest.mark.parametrize(
    ("settings", "handed_on"),
    [
        pytest.param({}, True, id="without tokens it is the back end's"),
        pytest.param({"store": "memory:"}, False, id="with tokens it stays here"),
        pytest.param(
            {"store": "memory:", "identity": {"forward_authorization": True}},
            True,
            id="unless asked for",
        ),
    ],
)
def test_a_callers_credential_goes_no_further_than_it_must(
    settings: dict[str, object], handed_on: bool
) -> None:
    options = AuthOptions.model_validate(settings)
    rules = MetadataRules(MetadataOptions(), options.reserved_metadata)
    assert bool(rules.to_metadata([(b"Authorization", b"Bearer gwt_1")])) is handed_on
