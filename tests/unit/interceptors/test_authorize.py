"""Who may call, and what whoever may not is told."""

import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from gateway.auth.authenticator import BEARER, Challenge
from gateway.call import Call, Principal, Reply
from gateway.interceptors.authorize import authorize
from gateway.policy.options import MethodPolicy
from gateway.status import Code, StatusError
from tests.support.front_end import schema
from tests.support.recording import AuditLog

METHOD = schema().methods["front.v1.Front.GetItem"]
OK = Reply(b"ok")


async def answer(_: Call) -> Reply:
    return OK


async def outcome(
    policy: MethodPolicy,
    principal: Principal | None,
    audit_log: AuditLog,
    *,
    anonymous: bool = False,
) -> Reply:
    call = Call(METHOD, message=b"", peer="192.0.2.7")
    call.principal = principal
    guards = authorize(METHOD, policy, audit_log, anonymous=anonymous)
    return await guards[0](call, answer) if guards else await answer(call)


def who(*scopes: str) -> Principal:
    return Principal("users/ada", frozenset(scopes), client="app", credential="c1")


ALL = MethodPolicy(scopes_all=frozenset({"a", "b"}))
ANY = MethodPolicy(scopes_any=frozenset({"a", "b"}))
BOTH = MethodPolicy(scopes_all=frozenset({"a"}), scopes_any=frozenset({"b", "c"}))


@pytest.mark.parametrize(
    ("policy", "scopes"),
    [
        pytest.param(MethodPolicy(), (), id="anybody who is known"),
        pytest.param(ALL, ("a", "b", "c"), id="all and more"),
        pytest.param(ANY, ("b",), id="one of them"),
        pytest.param(BOTH, ("a", "c"), id="all of these and one of those"),
    ],
)
async def test_whoever_was_granted_enough_may_call(
    policy: MethodPolicy, scopes: tuple[str, ...]
) -> None:
    audit_log = AuditLog()
    assert await outcome(policy, who(*scopes), audit_log) is OK
    assert audit_log.events == []


@pytest.mark.parametrize(
    ("policy", "scopes", "wanted"),
    [
        pytest.param(ALL, ("a",), "a b", id="one of all"),
        pytest.param(ALL, ("A", "B"), "a b", id="other letters"),
        pytest.param(ANY, ("c",), "a b", id="none of them"),
        pytest.param(BOTH, ("a",), "b c", id="all of these but none of those"),
        pytest.param(BOTH, ("b", "c"), "a", id="some of those but none of these"),
    ],
)
async def test_whoever_was_not_is_told_what_would_be_enough(
    policy: MethodPolicy, scopes: tuple[str, ...], wanted: str
) -> None:
    audit_log, info = AuditLog(), ErrorInfo()
    with pytest.raises(StatusError) as refused:
        await outcome(policy, who(*scopes), audit_log)
    error = refused.value
    assert error.code is Code.PERMISSION_DENIED
    assert error.headers == [
        ("WWW-Authenticate", f'Bearer error="insufficient_scope", scope="{wanted}"')
    ]
    assert error.details[0].Unpack(info)
    assert (info.reason, info.metadata["scopes"]) == ("INSUFFICIENT_SCOPE", wanted)
    ((name, event),) = audit_log.events
    assert name == "policy.refused"
    assert (event["principal"], event["credential"]) == ("users/ada", "c1")
    assert event["rpc"] == "front.v1.Front/GetItem"


@pytest.mark.parametrize(
    ("policy", "anonymous"),
    [
        pytest.param(MethodPolicy(), False, id="nothing is said"),
        pytest.param(MethodPolicy(anonymous=False), True, id="said of the method"),
        pytest.param(ALL, True, id="who is nobody has no scopes"),
    ],
)
async def test_nobody_is_asked_to_show_a_credential(policy: MethodPolicy, anonymous: bool) -> None:
    with pytest.raises(StatusError) as refused:
        await outcome(policy, None, AuditLog(), anonymous=anonymous)
    assert refused.value.code is Code.UNAUTHENTICATED
    assert refused.value.headers == [("WWW-Authenticate", "Bearer")]


async def test_nobody_is_told_of_each_kind_that_would_do_once() -> None:
    key = Challenge('ApiKey header="X-Key"', "X-Key")
    (guard,) = authorize(METHOD, ALL, AuditLog(), [BEARER, key, BEARER], anonymous=False)
    with pytest.raises(StatusError, match=r"send Authorization: Bearer or X-Key$") as refused:
        await guard(Call(METHOD, message=b""), answer)
    assert refused.value.headers == [
        ("WWW-Authenticate", "Bearer"),
        ("WWW-Authenticate", 'ApiKey header="X-Key"'),
    ]


@pytest.mark.parametrize(
    ("policy", "anonymous"),
    [(MethodPolicy(anonymous=True), False), (MethodPolicy(), True)],
    ids=["the method lets everyone in", "everything does"],
)
def test_where_everyone_may_call_nothing_stands_in_the_way(
    policy: MethodPolicy, anonymous: bool
) -> None:
    assert authorize(METHOD, policy, AuditLog(), anonymous=anonymous) == ()
