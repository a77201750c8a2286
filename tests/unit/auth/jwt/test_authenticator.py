"""JWTs as bearer credentials: who they speak for, and every way they can be no good."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gateway.auth.jwt.authenticator import Issuer, JwtAuthenticator
from gateway.auth.jwt.jwks import Freshness, IssuerKeys, KeySetError, VerificationKey, read_keys
from gateway.call import Call, Principal
from gateway.config.credentials import JwtIssuer
from gateway.status import Code, StatusError
from tests.support import jwts
from tests.support.front_end import schema
from tests.support.jwts import (
    AUDIENCE,
    ISSUER,
    KIND,
    SECRET,
    base64url,
    claims,
    jwk_set,
    private_key,
    public_jwk,
    public_pem,
    secret_jwk,
    unsigned,
)

NOW_S = 1_800_000_000.0
ALL = [*KIND, "HS256", "HS384", "HS512"]


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def issuer_of(*jwks: Mapping[str, Any], clock: Clock | None = None, **options: Any) -> Issuer:
    """An issuer with these keys."""
    usual = {"issuer": ISSUER, "audiences": [AUDIENCE], "keys_file": "keys.json"}
    keys = read_keys(jwk_set(*jwks), allow_secrets=True) if jwks else None

    async def load() -> Sequence[VerificationKey]:
        if keys is None:
            raise KeySetError("is down")
        return keys

    return Issuer(
        JwtIssuer.model_validate(usual | options),
        IssuerKeys(load, Freshness(300, 30, 3600), say=lambda _: None, clock=clock or Clock()),
    )


def authenticator(*issuers: Issuer, clock: Clock | None = None, **options: Any) -> JwtAuthenticator:
    """An authenticator that believes one issuer with one P-256 key, unless told otherwise."""
    believed = issuers or (issuer_of(public_jwk(private_key("P-256"))),)
    settings = {"max_bytes": 8192, "remember_s": 5.0} | options
    return JwtAuthenticator(believed, clock=clock or Clock(), **settings)


def token(key: Any = None, algorithm: str = "ES256", **options: Any) -> str:
    """A token as of the clock's beginning."""
    return jwts.token(key, algorithm, **({"now_s": NOW_S} | options))


def call(text: str) -> Call:
    return Call(
        schema().methods["front.v1.Front.GetItem"], headers={"Authorization": f"Bearer {text}"}
    )


async def known(text: str, by: JwtAuthenticator | None = None) -> Principal:
    """Who showed a token that is good."""
    principal = await (by or authenticator()).authenticate(call(text))
    assert principal is not None
    return principal


async def refusal(text: str, by: JwtAuthenticator | None = None) -> str:
    """Why a token is refused."""
    with pytest.raises(StatusError) as raised:
        await (by or authenticator()).authenticate(call(text))
    error = raised.value
    assert error.code is Code.UNAUTHENTICATED
    assert [name for name, _ in error.headers] == ["WWW-Authenticate"]
    assert error.headers[0][1].startswith('Bearer error="invalid_token", error_description="')
    return error.message


async def test_a_good_token_is_its_principal() -> None:
    text = token(scope="read write", client_id="app")
    principal = await known(text)
    assert (principal.name, principal.client, principal.kind) == ("ada", "app", "jwt")
    assert principal.scopes == {"read", "write"}
    assert principal.credential
    assert principal.credential not in text


@pytest.mark.parametrize("algorithm", ALL)
async def test_every_algorithm_of_the_list_is_taken(algorithm: str) -> None:
    jwk = secret_jwk() if algorithm.startswith("HS") else public_jwk(private_key(KIND[algorithm]))
    by = authenticator(issuer_of(jwk, algorithms=[algorithm]))
    assert (await known(token(algorithm=algorithm), by)).name == "ada"


def by_ed25519(alg: str) -> str:
    """A token that is signed with Ed25519, whatever it calls that."""
    parts = [json.dumps(part).encode() for part in ({"alg": alg}, claims(now_s=NOW_S))]
    signed = ".".join(base64url(part) for part in parts)
    return f"{signed}.{base64url(private_key('Ed25519').sign(signed.encode()))}"


@pytest.mark.parametrize("members", [{}, {"alg": "EdDSA"}, {"alg": "Ed25519"}])
@pytest.mark.parametrize(
    ("algorithms", "alg"),
    [(["EdDSA"], "EdDSA"), (["EdDSA"], "Ed25519"), (["Ed25519"], "Ed25519"), (None, "Ed25519")],
)
async def test_ed25519_has_two_names(
    members: dict[str, str], algorithms: list[str] | None, alg: str
) -> None:
    options: dict[str, Any] = {} if algorithms is None else {"algorithms": algorithms}
    by = authenticator(issuer_of(public_jwk(private_key("Ed25519"), **members), **options))
    assert (await known(by_ed25519(alg), by)).name == "ada"


@pytest.mark.parametrize(
    ("algorithms", "alg"),
    [(["Ed25519"], "EdDSA"), (["ES256"], "Ed25519"), (["EdDSA"], "Ed448"), (["EdDSA"], "ed25519")],
)
async def test_a_name_that_is_not_taken_is_refused(algorithms: list[str], alg: str) -> None:
    by = authenticator(issuer_of(public_jwk(private_key("Ed25519")), algorithms=algorithms))
    assert "algorithm of the token is not allowed" in await refusal(by_ed25519(alg), by)


async def test_a_key_of_another_kind_signs_no_ed25519() -> None:
    jwks = [public_jwk(private_key("P-256")), public_jwk(private_key("RSA"))]
    assert "not signed" in await refusal(by_ed25519("Ed25519"), authenticator(issuer_of(*jwks)))


@pytest.mark.parametrize(
    "text",
    ["", "opaque", "gwt_0123", "a.b", "a.b.c.d", "....."],
    ids=["empty", "opaque", "our own", "two parts", "four parts", "dots"],
)
async def test_what_has_not_the_look_of_a_jwt_is_left_to_others(text: str) -> None:
    assert await authenticator().authenticate(call(text)) is None


async def test_other_schemes_are_left_to_others() -> None:
    other = Call(
        schema().methods["front.v1.Front.GetItem"], headers={"Authorization": "Basic a.b.c"}
    )
    assert await authenticator().authenticate(other) is None


def _header(**members: Any) -> str:
    return base64url(json.dumps({"alg": "ES256"} | members).encode())


GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")


def _of(head: bytes = b'{"alg":"ES256"}', body: bytes = b"{}") -> str:
    return f"{base64url(head)}.{base64url(body)}.{SIGNATURE}"


MALFORMED = [
    pytest.param("..", id="nothing but dots"),
    pytest.param(f"{HEAD}..{SIGNATURE}", id="no claims"),
    pytest.param(f"{HEAD}.{BODY}.", id="no signature"),
    pytest.param(f"{HEAD}=.{BODY}.{SIGNATURE}", id="padding"),
    pytest.param(f"{HEAD}.{BODY}.{SIGNATURE[:-2]}+/", id="base64 that is not base64url"),
    pytest.param(f"{HEAD}. {BODY}.{SIGNATURE}", id="a space"),
    pytest.param(f"{HEAD}.{BODY}.{SIGNATURE}é", id="not ASCII"),
    pytest.param(f"{HEAD}.{BODY}.A", id="a part that no bytes have"),
    pytest.param(_of(b"[]"), id="a header that is a list"),
    pytest.param(_of(b"{"), id="a header that is no JSON"),
    pytest.param(_of(b"[" * 5000), id="a header nested deeply"),
    pytest.param(_of(b'{"alg":"none","alg":"ES256"}'), id="alg twice"),
    pytest.param(_of(body=b"null"), id="claims that are null"),
    pytest.param(_of(body=b'{"exp":NaN}'), id="NaN"),
    pytest.param(_of(body=b'{"exp":Infinity}'), id="Infinity"),
    pytest.param(_of(body=b'{"exp":' + b"9" * 5000 + b"}"), id="a huge number"),
    pytest.param(_of(body=b"\xff\xfe{}"), id="claims that are no text"),
]


@pytest.mark.parametrize("text", MALFORMED)
async def test_a_malformed_token_is_refused(text: str) -> None:
    assert "malformed" in await refusal(text)


async def test_a_signature_has_one_spelling() -> None:
    # The last character of 64 bytes carries two bits; the other four must be zero.
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = digits[digits.index(GOOD[-1]) ^ 1]
    assert "malformed" in await refusal(GOOD[:-1] + other)


ATTACKS = [
    pytest.param(
        unsigned({"alg": "none"}, claims(NOW_S)) + "AAAA",
        "algorithm of the token is not allowed",
        id="none",
    ),
    pytest.param(
        unsigned({"alg": "NoNe"}, claims(NOW_S), b"x"),
        "algorithm of the token is not allowed",
        id="NoNe",
    ),
    pytest.param(
        unsigned({}, claims(NOW_S), b"x"), "algorithm of the token is not allowed", id="no alg"
    ),
    pytest.param(
        unsigned({"alg": None}, claims(NOW_S), b"x"),
        "algorithm of the token is not allowed",
        id="null",
    ),
    pytest.param(
        unsigned({"alg": ["ES256"]}, claims(NOW_S), b"x"),
        "algorithm of the token is not allowed",
        id="list",
    ),
    pytest.param(
        unsigned({"alg": "ES256"}, claims(NOW_S), b"\x00" * 64),
        "not signed by",
        id="a zero signature",
    ),
    pytest.param(
        unsigned({"alg": "ES256"}, claims(NOW_S), b"x"), "not signed by", id="a short one"
    ),
    pytest.param(
        token(SECRET, "HS256"),
        "algorithm of the token is not allowed",
        id="HS256 where none is taken",
    ),
    pytest.param(token(private_key("RSA"), "RS256"), "not signed by", id="another kind of key"),
    pytest.param(token(private_key("P-256", 1)), "not signed by", id="somebody else's key"),
    pytest.param(
        token(private_key("P-256", 1), header={"jwk": public_jwk(private_key("P-256", 1))}),
        "not signed by",
        id="a key it brings along",
    ),
    pytest.param(
        token(private_key("P-256", 1), header={"jku": "https://evil.example/keys"}),
        "not signed by",
        id="a key it points to",
    ),
    pytest.param(
        token(private_key("P-256", 1), header={"x5u": "https://evil.example/cert"}),
        "not signed by",
        id="a certificate it points to",
    ),
    pytest.param(
        token(private_key("P-256", 1), header={"x5c": ["AAAA"]}),
        "not signed by",
        id="a certificate it brings along",
    ),
    pytest.param(
        token(private_key("P-256", 1), header={"kid": "../../dev/null"}),
        "not signed by",
        id="a kid that is a path",
    ),
    pytest.param(
        token(private_key("P-256", 1), header={"kid": "' OR 1=1 --"}),
        "not signed by",
        id="a kid that is SQL",
    ),
    pytest.param(
        f"{_header(kid=['a'])}.{BODY}.{SIGNATURE}",
        "kid of the token is not a string",
        id="a kid list",
    ),
    pytest.param(token(header={"crit": ["exp"]}), "critical", id="critical extensions"),
    pytest.param(token(header={"crit": []}), "critical", id="an empty list of them"),
    pytest.param(f"{_header(typ='x')}.{BODY}.{SIGNATURE}", "not signed by", id="another header"),
    pytest.param(
        f"{HEAD}.{base64url(json.dumps(claims(NOW_S, sub='root')).encode())}.{SIGNATURE}",
        "not signed by",
        id="other claims",
    ),
    pytest.param(token(iss="https://evil.example"), "not trusted here", id="a foreign issuer"),
    pytest.param(token(iss=f"{ISSUER}/"), "not trusted here", id="an issuer with a slash more"),
    pytest.param(token(iss=None), "not trusted here", id="no issuer"),
    pytest.param(
        unsigned({"alg": "ES256"}, claims(NOW_S, iss=[ISSUER]), b"x"),
        "not trusted here",
        id="issuers",
    ),
    pytest.param(token(aud="https://other.example"), "another audience", id="a foreign audience"),
    pytest.param(token(aud=f"{AUDIENCE}/"), "another audience", id="an audience with a slash more"),
    pytest.param(token(aud=[]), "another audience", id="no audience"),
    pytest.param(token(aud=None), "another audience", id="without aud"),
    pytest.param(token(aud=[[AUDIENCE], 7]), "another audience", id="audiences that are no text"),
    pytest.param(token(aud={AUDIENCE: 1}), "another audience", id="an audience as a member"),
    pytest.param(token(exp=NOW_S - 31), "expired", id="expired"),
    pytest.param(token(exp=NOW_S - 30), "expired", id="expired by all the leeway"),
    pytest.param(token(exp=-1), "expired", id="expired before there was time"),
    pytest.param(token(nbf=NOW_S + 31), "not valid yet", id="not valid yet"),
    pytest.param(token(exp=None), "no exp", id="never expiring"),
    pytest.param(token(exp=True), "not a number", id="expiring at true"),
    pytest.param(token(exp=10**400), "not a number", id="expiring after all time"),
    pytest.param(token(exp=[NOW_S]), "not a number", id="expiring at a list"),
    pytest.param(token(sub=None), "no string as its sub", id="nobody"),
    pytest.param(token(sub=""), "not a valid name", id="an empty name"),
    pytest.param(token(sub="   "), "not a valid name", id="a blank name"),
    pytest.param(token(sub="ada "), "not a valid name", id="a blank behind a name"),
    pytest.param(token(sub=" ada"), "not a valid name", id="a blank before a name"),
    pytest.param(token(sub="ada\u2003"), "not a valid name", id="another blank behind a name"),
    pytest.param(token(sub="a\r\nx-principal: root"), "not a valid name", id="a name of two lines"),
    pytest.param(token(sub="a" * 257), "not a valid name", id="a very long name"),
    pytest.param(token(big="x" * 9000), "longer than 8192", id="a huge token"),
]


@pytest.mark.parametrize(("text", "reason"), ATTACKS)
async def test_what_is_no_good_is_refused_with_the_reason(text: str, reason: str) -> None:
    by = authenticator(
        issuer_of(
            public_jwk(private_key("P-256")),
            public_jwk(private_key("P-384")),
            algorithms=["ES256", "ES384", "RS256"],
        )
    )
    message = await refusal(text, by)
    assert reason in message
    assert '"' not in message
    assert "evil" not in message


async def test_an_expiry_beyond_all_numbers_is_refused() -> None:
    text = unsigned({"alg": "HS256"}, claims(NOW_S, exp=5))
    head, _, _ = text.split(".")
    body = base64url(json.dumps(claims(NOW_S, exp=5)).replace("5}", "1e400}").encode())
    by = authenticator(issuer_of(secret_jwk(), algorithms=["HS256"]))
    assert "not a number" in await refusal(_signed(head, body), by)


def _signed(head: str, body: str) -> str:
    import hmac

    return f"{head}.{body}.{base64url(hmac.digest(SECRET, f'{head}.{body}'.encode(), 'sha256'))}"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_public_key_is_never_taken_for_a_secret(algorithm: str) -> None:
    import hmac

    public = public_pem(private_key("RSA"))
    text = unsigned({"alg": algorithm}, claims(NOW_S)).rpartition(".")[0]
    digest = hmac.digest(public, text.encode(), f"sha{algorithm[2:]}")
    by = authenticator(
        issuer_of(public_jwk(private_key("RSA")), secret_jwk(), algorithms=["RS256", algorithm])
    )
    assert "not signed by" in await refusal(f"{text}.{base64url(digest)}", by)


@pytest.mark.parametrize(
    ("claim", "offset_s"), [("exp", -29), ("nbf", 29), ("exp", 0.5), ("nbf", 0)]
)
async def test_clocks_may_be_a_little_off(claim: str, offset_s: float) -> None:
    told: dict[str, Any] = {claim: NOW_S + offset_s}
    assert (await known(token(**told))).name == "ada"


async def test_no_leeway_is_none() -> None:
    by = authenticator(issuer_of(public_jwk(private_key("P-256")), leeway_s=0))
    assert "expired" in await refusal(token(exp=NOW_S), by)
    assert (await known(token(exp=NOW_S + 1, nbf=NOW_S), by)).name == "ada"


@pytest.mark.parametrize(
    ("typ", "is_taken"),
    [
        ("at+jwt", True),
        ("AT+JWT", True),
        ("application/at+jwt", True),
        ("JWT", False),
        (None, False),
    ],
)
async def test_of_some_issuers_only_tokens_of_a_type_are_taken(
    typ: str | None, is_taken: bool
) -> None:
    by = authenticator(issuer_of(public_jwk(private_key("P-256")), types=["at+jwt"]))
    text = token(header={"typ": typ})
    if is_taken:
        assert (await known(text, by)).name == "ada"
    else:
        assert "typ of the token" in await refusal(text, by)


@pytest.mark.parametrize("name", ["", " ", "ada ", " ada"])
async def test_a_prefix_makes_no_name_of_nothing(name: str) -> None:
    by = authenticator(issuer_of(public_jwk(private_key("P-256")), prefix="a/"))
    assert "not a valid name" in await refusal(token(sub=name), by)


async def test_tokens_of_one_issuer_are_not_checked_by_the_keys_of_another() -> None:
    ours = issuer_of(public_jwk(private_key("P-256")), prefix="a/")
    theirs = issuer_of(public_jwk(private_key("P-256", 1)), issuer="https://two", prefix="b/")
    by = authenticator(ours, theirs)
    assert (await known(token(), by)).name == "a/ada"
    assert (await known(token(private_key("P-256", 1), iss="https://two"), by)).name == "b/ada"
    assert "not signed by" in await refusal(token(private_key("P-256", 1)), by)


@pytest.mark.parametrize(
    ("told", "scopes"),
    [
        pytest.param({"scope": "a b"}, {"a", "b"}, id="scope"),
        pytest.param({"scp": ["a", "b"]}, {"a", "b"}, id="scp"),
        pytest.param({"permissions": ["a:b"], "scope": "c"}, {"a:b", "c"}, id="several"),
        pytest.param({"scope": "  a   b "}, {"a", "b"}, id="with spaces"),
        pytest.param({"scp": ["a b", 7, None, "c"]}, {"c"}, id="what is no scope grants none"),
        pytest.param({"scope": 'a" é'}, set(), id="characters no scope has"),
        pytest.param({"scope": {"a": 1}}, set(), id="an object"),
        pytest.param({}, set(), id="none"),
    ],
)
async def test_scopes_come_from_texts_and_lists(told: dict[str, Any], scopes: set[str]) -> None:
    assert (await known(token(**told))).scopes == scopes


async def test_what_back_ends_are_told_comes_from_claims_wherever_they_are() -> None:
    by = authenticator(
        issuer_of(
            public_jwk(private_key("P-256")),
            principal="user.email",
            scopes=["realm_access.roles"],
            claims={"tenant": "https://example.com/tenant", "level": "level", "gone": "a.b.c"},
        )
    )
    text = token(
        user={"email": "ada@example.com"},
        realm_access={"roles": ["admin"]},
        level={"n": 1},
        **{"https://example.com/tenant": "t1"},
    )
    principal = await known(text, by)
    assert principal.name == "ada@example.com"
    assert principal.scopes == {"admin"}
    assert principal.claims == {"tenant": "t1", "level": '{"n":1}'}


async def test_a_token_that_was_good_is_remembered_for_a_while() -> None:
    clock = Clock()
    by = authenticator(clock=clock)
    text = token()
    first = await known(text, by)
    clock.now_s += 4.9
    assert await known(text, by) is first
    clock.now_s += 0.2
    assert await known(text, by) is not first


async def test_a_token_is_remembered_once_however_it_is_spelled() -> None:
    by = authenticator()
    text = token()
    first = await known(text, by)
    for scheme in ("Bearer ", "bearer ", "BEARER", "Bearer   "):
        assert by.recall(call(text), f"{scheme} {text}") is first
    for other in ("Bearer Bearer", "Basic", "Bearer x", "", "Bearer"):
        assert by.recall(call(text), f"{other}{text}") is not first
        assert by.recall(call(text), f"{other} {other} {text}") is not first
    assert "1 tokens" in repr(by)


async def test_a_token_is_not_remembered_beyond_its_end() -> None:
    clock = Clock()
    by = authenticator(issuer_of(public_jwk(private_key("P-256")), leeway_s=0), clock=clock)
    text = token(exp=NOW_S + 2)
    await known(text, by)
    clock.now_s += 2
    assert "expired" in await refusal(text, by)


async def test_while_an_issuers_keys_cannot_be_had_nobody_is_let_in() -> None:
    with pytest.raises(StatusError) as raised:
        await authenticator(issuer_of()).authenticate(call(token()))
    assert raised.value.code is Code.UNAVAILABLE
    assert raised.value.details


async def test_no_token_is_printed() -> None:
    by = authenticator()
    text = token()
    await known(text, by)
    assert repr(by) == "<JwtAuthenticator, 1 issuers, 1 tokens>"
