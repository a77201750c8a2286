"""What no line shows, wherever a client puts it."""

import pytest

from gateway.telemetry.masking import PathMasks, mask_credentials, query_names
from tests.support.entries import bindings, schema
from tests.support.growth import check_growth

CARD = schema().methods["logged.v1.Cards.GetCard"]
TOKEN = f"gwt_{'a' * 49}"


@pytest.mark.parametrize(
    ("template", "path", "shown"),
    [
        pytest.param("/v1/cards/{number}", "/v1/cards/S3CRET", "/v1/cards/***", id="one segment"),
        pytest.param("/v1/cards/{number}", "/v1/cards/%53%33", "/v1/cards/***", id="escaped"),
        pytest.param("/v1/cards/{number}", "/v1/c%61rds/S3CRET", "/v1/c%61rds/***", id="literal"),
        pytest.param(
            "/v1/holders/{holder}/cards/{number=cards/*}:read",
            "/v1/holders/ada/cards/cards/S3CRET:read",
            "/v1/holders/ada/cards/cards/***:read",
            id="literals and verbs stay",
        ),
        pytest.param("/v1/all/{number=**}", "/v1/all/S3/CR/ET", "/v1/all/***/***/***", id="many"),
        pytest.param("/v1/all/{number=**}", "/v1/all", "/v1/all", id="none of many"),
        pytest.param(
            "/v1/deep/{number=**}/tail/{holder}",
            "/v1/deep/S3/CRET/tail/ada",
            "/v1/deep/***/***/tail/ada",
            id="many inside",
        ),
        pytest.param(
            "/v1/shallow/{holder=**}/tail/{number}",
            "/v1/shallow/a/b/c/tail/S3CRET",
            "/v1/shallow/a/b/c/tail/***",
            id="behind many",
        ),
        pytest.param(
            "/v1/owners/{owner.pin}/{owner.name}",
            "/v1/owners/S3CRET/ada",
            "/v1/owners/***/ada",
            id="a field of a field",
        ),
        pytest.param("/v1/holders/{holder}", "/v1/holders/ada", "/v1/holders/ada", id="nothing"),
    ],
)
def test_a_path_hides_what_its_variables_hold(template: str, path: str, shown: str) -> None:
    masks = PathMasks(bindings().values())
    assert masks.mask(path, bindings()[template]) == shown


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        pytest.param("/v1/cards/S3CRET", "/v1/cards/***", id="the wrong HTTP method"),
        pytest.param("/v1/CARDS/S3CRET/x", "/v1/CARDS/***", id="mistyped"),
        pytest.param("/v1/%63ards/S3CRET", "/v1/%63ards/***", id="escaped"),
        pytest.param("/v1/owners/S3CRET", "/v1/owners/***", id="the end is missing"),
        pytest.param("/v1/cards", "/v1/cards", id="nothing there"),
        pytest.param("/v2/cards/x", "/v2/cards/x", id="somewhere else"),
        pytest.param("", "", id="no path"),
        pytest.param("*", "*", id="no path at all"),
    ],
)
def test_what_nothing_serves_hides_what_could_have_been_meant(path: str, shown: str) -> None:
    assert PathMasks(bindings().values()).mask(path, None) == shown


@pytest.mark.parametrize(
    ("redact", "shown"),
    [
        pytest.param({"holder"}, "/v1/holders/***", id="by name"),
        pytest.param({"*"}, "/v1/holders/***", id="all"),
        pytest.param({"number"}, "/v1/holders/ada", id="another"),
    ],
)
def test_a_policy_hides_more(redact: set[str], shown: str) -> None:
    masks = PathMasks(bindings().values(), lambda _: redact)
    assert masks.mask("/v1/holders/ada", bindings()["/v1/holders/{holder}"]) == shown


def test_a_policy_that_names_a_message_hides_what_is_in_it() -> None:
    binding = bindings()["/v1/owners/{owner.pin}/{owner.name}"]
    masks = PathMasks([binding], lambda _: {"owner"})
    assert masks.mask("/v1/owners/1/ada", binding) == "/v1/owners/***/***"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        pytest.param("holder=ada", "holder=***", id="value"),
        pytest.param("owner.name=ada&holder", "owner.name=***&holder", id="nested, and no value"),
        pytest.param("S3CRET", "***", id="a value without a name"),
        pytest.param("S3CRET=1&=S3CRET", "***=***&***=***", id="no field's name"),
        pytest.param("holder=S3&CRET", "holder=***&***", id="an & that was not escaped"),
        pytest.param("&".join(["holder=1"] * 40), "holder=***&" * 16 + "...", id="many"),
    ],
)
def test_of_a_query_only_the_names_of_fields_are_shown(query: str, shown: str) -> None:
    assert query_names(query, CARD.input) == shown


def test_of_a_query_nobody_reads_nothing_is_shown() -> None:
    assert query_names("holder=ada&x", None) == "***=***&***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"/a/{TOKEN}/b", "/a/***/b", id="token"),
        pytest.param("gwk_abcdefgh12345678_secretsecret", "***", id="key"),
        pytest.param("x eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln y", "x *** y", id="jwt"),
        pytest.param("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "***", id="unsigned jwt"),
        pytest.param("eyJhbGciOiJub25lIn0 eyJ", "eyJhbGciOiJub25lIn0 eyJ", id="no jwt"),
        pytest.param(
            "eyJhbGciOiJub25lIn0-gwk_0123456789abcdef0", "eyJhbGciOiJub25lIn0-***", id="a key in it"
        ),
        pytest.param("gateway", "gateway", id="a word"),
    ],
)
def test_what_looks_like_a_credential_is_hidden_anywhere(text: str, shown: str) -> None:
    assert mask_credentials(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"/a/%67{TOKEN[1:]}", "/a/***", id="a letter"),
        pytest.param(f"/a/gwt%5F{TOKEN[4:]}", "/a/***", id="the underscore"),
        pytest.param(f"/a/%2567{TOKEN[1:]}/b", "/a/***/b", id="twice"),
        pytest.param(f"/a/%25252567{TOKEN[1:]}", "/a/***", id="four times"),
        pytest.param(f"/a/%{'25' * 1000}67{TOKEN[1:]}", "/a/***", id="a thousand times"),
        pytest.param("/%65yJhbGciOiJub25l%2EeyJz", "/***", id="a JWT"),
        pytest.param("/a%2Fb/%25/100%", "/a%2Fb/%25/100%", id="nothing to hide"),
        pytest.param("/%zz%2", "/%zz%2", id="no encoding"),
    ],
)
def test_a_credential_is_hidden_however_often_it_is_encoded(text: str, shown: str) -> None:
    assert mask_credentials(text) == shown


@pytest.mark.parametrize(
    "piece",
    [
        "eyJ",
        "gwt_",
        "%25",
        "%2",
        "%2525%",
        "eyJaaaaaaaa.",
        "%65yJ",
        "%25%32",
        "gwt_0123456789abcde.",
    ],
)
def test_looking_for_credentials_takes_time_in_proportion(piece: str) -> None:
    small, large = (piece * (size // len(piece)) for size in (8_000, 80_000))
    check_growth(mask_credentials, small, large, times=30, free_s=0.02)
