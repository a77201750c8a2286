"""The grammars that several rooms share."""

import re

import pytest

from gateway.auth.secrets import ACCESS, API_KEY, REFRESH, new_secret
from gateway.config.client_networks import Networks, client_address
from gateway.config.grammar import (
    AUTHORITY,
    LIKELY_SECRET,
    LOWER_TOKEN,
    SCOPE,
    SECRET,
    TOKEN,
    is_scope,
    is_token,
)
from tests.support.growth import check_growth


@pytest.mark.parametrize("text", ["a", "X-Tenant", "!#$%&'*+-.^_`|~09azAZ", "M-SEARCH"])
def test_a_token_has_the_characters_of_rfc_9110(text: str) -> None:
    assert is_token(text)
    assert (re.fullmatch(LOWER_TOKEN, text) is not None) is (text == text.lower())


@pytest.mark.parametrize("text", ["", "a b", "a:", "a,", "a\n", "é", '"a"', "a/b", "a\x00"])
def test_other_texts_are_no_tokens(text: str) -> None:
    assert not is_token(text)


def test_a_scope_is_printable_ascii_but_for_blank_quote_and_backslash() -> None:
    ascii_scopes = {chr(code) for code in range(256) if is_scope(chr(code))}
    assert ascii_scopes == {chr(code) for code in range(0x21, 0x7F)} - {'"', "\\"}
    assert not is_scope("")
    assert not is_scope("a b")
    assert not is_scope("a\n")


@pytest.mark.parametrize("kind", [ACCESS, REFRESH, API_KEY])
def test_secrets_that_are_made_are_secrets_of_the_grammar(kind: str) -> None:
    secret = new_secret(kind)
    assert re.fullmatch(SECRET, secret)
    assert re.fullmatch(LIKELY_SECRET, secret)
    assert re.fullmatch(LIKELY_SECRET, secret[:20])
    assert not re.fullmatch(SECRET, secret[:-1])


@pytest.mark.parametrize("grammar", [TOKEN, SCOPE, SECRET, LIKELY_SECRET, AUTHORITY])
def test_every_grammar_matches_in_linear_time(grammar: str) -> None:
    compiled = re.compile(grammar)

    def use(text: str) -> None:
        compiled.fullmatch(text)
        compiled.search(text)

    for begin, again, end in (("", "aaaa", "\x00"), ("", "gwt_", "\x00"), ("gwt_", "aaaa", "")):
        small, large = (begin + again * many + end for many in (5_000, 50_000))
        check_growth(use, small, large, times=30, free_s=0.02)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", "None"),
        ("/run/gateway.sock", "None"),
        ("unknown", "None"),
        ("010.0.0.1", "None"),
    ],
)
def test_the_address_of_a_client_has_one_reading(text: str, address: str) -> None:
    assert str(client_address(text)) == address


def test_networks_have_mapped_addresses_and_no_names() -> None:
    networks = Networks(["10.0.0.0/8", "2001:db8::1", "192.0.2.7/24"])
    for client in ("10.9.9.9", "::ffff:10.0.0.1", "2001:db8::1", "192.0.2.1"):
        assert networks.have(client), client
    for client in ("11.0.0.1", "2001:db8::2", "", "10.0.0.1.example"):
        assert not networks.have(client), client
    assert networks
    assert not Networks([])
