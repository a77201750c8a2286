"""One principal has one spelling, whatever kind of credential says who it is."""

from typing import Any

import pytest

from gateway.auth.certificates import CertificateAuthenticator
from gateway.auth.keys.api_keys import KeyRequest
from gateway.auth.names import MalformedError
from gateway.call import Call, Certificate, Principal
from gateway.config.auth import IdentityOptions
from gateway.config.credentials import CertificateOptions
from gateway.http.client_certificate import parse_forwarded
from gateway.interceptors.identify import Identify
from gateway.status import Code, StatusError
from tests.support.front_end import schema
from tests.support.upstream import Upstream

METHOD = schema().methods["front.v1.Front.GetItem"]
BLANKS = ["alice ", " alice", " ", "", "\talice", "alice\n", "alice\xa0", "alice\x7f", "\ud800"]


async def principal_of(certificate: Certificate | None, **options: Any) -> str:
    by = CertificateAuthenticator(CertificateOptions.model_validate(options), lambda: 1000.0)
    found = await by.authenticate(Call(METHOD, certificate=certificate))
    assert found is not None
    return found.name


@pytest.mark.parametrize("name", BLANKS)
@pytest.mark.parametrize("prefix", ["", "cert/"])
async def test_a_certificate_of_another_spelling_is_refused(name: str, prefix: str) -> None:
    shown = Certificate((("cn", name),), "ab" * 32, 2000.0)
    with pytest.raises(StatusError) as raised:
        await principal_of(shown, principal=["cn"], prefix=prefix)
    assert raised.value.code is Code.UNAUTHENTICATED


@pytest.mark.parametrize("name", BLANKS)
def test_a_key_is_made_for_no_other_spelling(name: str) -> None:
    with pytest.raises(MalformedError, match="no blank at the start or end"):
        KeyRequest(name)


async def test_of_two_common_names_the_most_specific_counts() -> None:
    # As a directory writes them: CN=Users is where the users are.
    shown = Certificate((("cn", "Users"), ("cn", "ada")), "ab" * 32, 2000.0)
    assert await principal_of(shown, principal=["cn"]) == "ada"
    told = parse_forwarded('Subject="CN=ada,CN=Users,DC=corp"')
    assert await principal_of(told, principal=["cn"]) == "ada"


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        pytest.param("CN=doe\\, john,O=x", "doe, john", id="an escaped comma"),
        pytest.param("CN=doe\\2C john", "doe, john", id="a comma in hexadecimal"),
        pytest.param("CN=\\C3\\BCber", "über", id="UTF-8 in hexadecimal"),
        pytest.param("O=x, CN=ada", "ada", id="a blank behind the comma"),
        pytest.param("2.5.4.3=ada", "ada", id="by its number"),
        pytest.param("O=x+CN=ada", "ada", id="beside another attribute"),
        pytest.param("CN=ada\\ ", None, id="an escaped blank behind it"),
        pytest.param("CN=ada ,O=x", None, id="a blank behind it"),
        pytest.param("CN= ada", None, id="a blank before it"),
        pytest.param("CN=ada+CN=root", None, id="two in one relative name"),
        pytest.param("CN=\\FF", None, id="no UTF-8"),
        pytest.param("CN=#0403616461", None, id="bytes"),
        pytest.param("CN=ada,", None, id="a comma too many"),
        pytest.param("CN=ada;CN=root", None, id="a semicolon"),
        pytest.param("CN=ada\\", None, id="half an escape"),
    ],
)
async def test_a_proxys_subject_is_read_to_the_letter(subject: str, name: str | None) -> None:
    told = parse_forwarded(f'Subject="{subject}"')
    if name is None:
        with pytest.raises(StatusError):
            await principal_of(told, principal=["cn"])
    else:
        assert await principal_of(told, principal=["cn"]) == name


@pytest.mark.parametrize(
    "value",
    [
        '\\"URI=a',
        'URI="a',
        'URI=a;Subject="CN=a";Subject="CN=b"',
        "URI",
        "URI=a;;",
        'URI=a"b"',
        "URI=a\udcff",
        'x="\\',
    ],
)
async def test_a_malformed_header_names_nobody(value: str) -> None:
    with pytest.raises(StatusError) as raised:
        await principal_of(parse_forwarded(value), principal=["uri", "cn"])
    assert raised.value.code is Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("name", "told"),
    [(" a ", "%20a%20"), ("  ", "%20%20"), ("", ""), ("a b", "a b"), ("\ud800", "%ED%A0%80")],
)
async def test_metadata_says_blanks_exactly(name: str, told: str) -> None:
    call = Call(METHOD, message=b"")
    call.principal = Principal(name, frozenset({"b,c", "a"}), {"t": name}, name)
    await Identify(IdentityOptions())(call, Upstream())
    metadata = dict(call.metadata)
    assert metadata["x-principal"] == told
    assert metadata["x-principal-claim-t"] == told
    assert metadata["x-principal-scopes"] == "a b%2Cc"
