"""Client certificates as credentials: which of their names is the principal."""

import math
from typing import Any

import pytest

from gateway.auth.certificates import CertificateAuthenticator
from gateway.call import Call, Certificate, Principal
from gateway.config.credentials import CertificateOptions
from gateway.http.client_certificate import parse_forwarded
from gateway.status import Code, StatusError
from tests.support.front_end import schema

SPIFFE = "spiffe://example.org/ns/a"


def call(*names: tuple[str, str], expires_at_s: float = 2000.0) -> Call:
    method = schema().methods["front.v1.Front.GetItem"]
    return Call(method, certificate=Certificate(names, "ab" * 32, expires_at_s))


async def known(shown: Call, **options: Any) -> Principal:
    by = CertificateAuthenticator(CertificateOptions.model_validate(options), lambda: 1000.0)
    principal = await by.authenticate(shown)
    assert principal is not None
    assert await by.authenticate(shown) is principal
    return principal


@pytest.mark.parametrize(
    ("names", "sources", "name"),
    [
        pytest.param([("dns", "a"), ("uri", SPIFFE)], ["spiffe", "dns"], SPIFFE, id="in order"),
        pytest.param([("dns", "a"), ("uri", SPIFFE)], ["dns", "spiffe"], "a", id="as configured"),
        pytest.param([("dns", "a"), ("dns", "b")], ["dns"], "a", id="the first of a kind"),
        pytest.param([("uri", "https://a"), ("dns", "b")], ["spiffe", "dns"], "b", id="no SPIFFE"),
        pytest.param([("uri", SPIFFE), ("uri", "x:y")], ["spiffe", "uri"], SPIFFE, id="two URIs"),
        pytest.param([("dns", "*.a"), ("dns", "b.a")], ["dns"], "b.a", id="no wildcard"),
        pytest.param([("cn", "ada")], ["cn"], "ada", id="the common name, if asked for"),
        pytest.param([("email", "a@b")], ["cn", "email"], "a@b", id="an address"),
    ],
)
async def test_the_principal_is_the_first_name_of_the_kinds_in_order(
    names: list[tuple[str, str]], sources: list[str], name: str
) -> None:
    assert (await known(call(*names), principal=sources)).name == name


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        pytest.param(call(("cn", "ada")), "no name of these kinds: spiffe, dns", id="a name by cn"),
        pytest.param(call(), "no name of these kinds", id="no name"),
        pytest.param(call(("dns", "*.a")), "no name of these kinds", id="a wildcard"),
        pytest.param(
            call(("uri", SPIFFE), ("uri", "x:y")), "no name of these kinds", id="SPIFFE and another"
        ),
        pytest.param(call(("dns", "a\r\nb")), "not a valid name", id="two lines"),
        pytest.param(call(("dns", "a" * 300)), "not a valid name", id="a very long name"),
        pytest.param(call(("dns", "a"), expires_at_s=1000.0), "has expired", id="expired"),
    ],
)
async def test_a_certificate_that_names_nobody_is_refused(shown: Call, reason: str) -> None:
    by = CertificateAuthenticator(CertificateOptions(), lambda: 1000.0)
    with pytest.raises(StatusError, match=reason) as raised:
        await by.authenticate(shown)
    assert raised.value.code is Code.UNAUTHENTICATED
    assert raised.value.headers == [("WWW-Authenticate", "ClientCertificate")]


async def test_who_shows_none_is_left_to_others() -> None:
    nobody = Call(schema().methods["front.v1.Front.GetItem"])
    assert await CertificateAuthenticator(CertificateOptions()).authenticate(nobody) is None


async def test_a_certificate_expires_while_its_connection_lasts() -> None:
    times = iter([1999.0, 2000.0])
    by = CertificateAuthenticator(CertificateOptions(), lambda: next(times))
    shown = call(("dns", "a"))
    assert await by.authenticate(shown)
    with pytest.raises(StatusError, match="has expired"):
        await by.authenticate(shown)


async def test_scopes_come_by_name_and_by_beginning_of_a_name() -> None:
    scopes = {"a.x": ["one"], "a.*": ["two"], "a": ["three"], "*": ["four"], "b.*": ["five"]}
    principal = await known(call(("dns", "a.x")), scopes=scopes, prefix="m/")
    assert principal.name == "m/a.x"
    assert principal.scopes == frozenset({"one", "two", "four"})
    assert (principal.kind, principal.credential) == ("certificate", "ab" * 8)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        pytest.param(f"URI={SPIFFE}", [("uri", SPIFFE)], id="a URI"),
        pytest.param(
            f'By=x;Hash=ab;Subject="CN=ada,O=b";URI={SPIFFE};DNS=a;DNS=b',
            [("cn", "ada"), ("uri", SPIFFE), ("dns", "a"), ("dns", "b")],
            id="all there is",
        ),
        pytest.param("URI=evil,URI=good", [("uri", "good")], id="the last of several"),
        pytest.param('Subject="O=a\\"b,c;URI=evil;CN=ada";DNS=d', [("dns", "d")], id="quotes hold"),
        pytest.param('Subject="O=x\\,CN=evil"', [], id="an escaped comma parts nothing"),
        pytest.param('Subject="O=x/CN=evil,CN=a"', [("cn", "a")], id="nor does a slash"),
        pytest.param("URI=", [], id="an empty name"),
        pytest.param("nonsense", [], id="nonsense"),
    ],
)
def test_what_a_proxy_tells_of_a_certificate_is_read(
    value: str, names: list[tuple[str, str]]
) -> None:
    certificate = parse_forwarded(value)
    assert certificate is not None
    assert list(certificate.names) == names
    assert certificate.expires_at_s == math.inf


def test_an_empty_header_tells_of_no_certificate() -> None:
    assert parse_forwarded("") is None
