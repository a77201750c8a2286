"""Errands of operators on the tokens, keys and counters of the gateway that runs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from typing import Any, Final

from gateway.audit import Audit
from gateway.auth.keys.api_keys import ApiKeys, KeyRequest, MadeKey, shown_key
from gateway.auth.secrets import begins_as_secret
from gateway.auth.tokens.tokens import Tokens
from gateway.status import Code, StatusError, invalid_argument
from gateway.stores.base import Store

Wanted = dict[str, Any]
StoreErrand = Callable[[Store, Audit, Wanted], Awaitable[dict[str, Any]]]

_MOST_KEYS: Final = 1000
"""The most keys that are listed; `gateway key list` lists all."""
_LONGEST_S: Final = 100 * 366 * 86_400.0
_COUNTED: Final = ("principal", "key", "address", "all")


async def _keys(store: Store, audit: Audit, wanted: Wanted) -> dict[str, Any]:
    """Lists the keys, also expired ones; never their secrets."""
    _take(wanted)
    shown: list[dict[str, Any]] = []
    async for record in ApiKeys(store, audit).list_all():
        if len(shown) == _MOST_KEYS:
            return {"keys": shown, "is_complete": False}
        shown.append(shown_key(record))
    return {"keys": shown, "is_complete": True}


async def _create(store: Store, audit: Audit, wanted: Wanted) -> dict[str, Any]:
    """Creates a key: `{"owner": "ada", "scopes": [...], "networks": [...], "ttl_s": 3600}`."""
    owner, scopes, networks, ttl_s = _take(wanted, "owner", "scopes", "networks", "ttl_s")
    request = KeyRequest(
        _text("owner", owner),
        frozenset(_texts("scopes", scopes)),
        None if ttl_s is None else _seconds("ttl_s", ttl_s),
        _texts("networks", networks),
    )
    return _made(await ApiKeys(store, audit).create(request))


async def _rotate(store: Store, audit: Audit, wanted: Wanted) -> dict[str, Any]:
    """Gives a key a new secret: `{"id": "key-1", "overlap_s": 3600}`."""
    key_id, overlap_s = _take(wanted, "id", "overlap_s")
    overlap_s = 0.0 if overlap_s is None else _seconds("overlap_s", overlap_s)
    made = await ApiKeys(store, audit).rotate(_text("id", key_id), overlap_s)
    if made is None:
        raise _no_key()
    return _made(made)


async def _revoke_key(store: Store, audit: Audit, wanted: Wanted) -> dict[str, Any]:
    """Revokes a key: `{"id": "key-1"}`."""
    (key_id,) = _take(wanted, "id")
    if not await ApiKeys(store, audit).revoke(_text("id", key_id)):
        raise _no_key()
    return {"revoked": key_id}


async def _revoke_tokens(store: Store, audit: Audit, wanted: Wanted) -> dict[str, Any]:
    """Revokes the tokens of a login or of a principal: `{"id": ...}` or `{"principal": ...}`."""
    login, principal = _take(wanted, "id", "principal")
    if (login is None) == (principal is None):
        raise invalid_argument("", "expected the id of a login, or a principal, and not both")
    tokens = Tokens(store, audit)
    if principal is not None:
        return {"revoked": await tokens.revoke_principal(_text("principal", principal))}
    return {"revoked": await tokens.revoke_family(_text("id", login))}


_ERRANDS: Final[Mapping[str, StoreErrand]] = {
    "GET /keys": _keys,
    "POST /keys": _create,
    "POST /keys/rotate": _rotate,
    "POST /keys/revoke": _revoke_key,
    "POST /tokens/revoke": _revoke_tokens,
}


def wanted_reset(wanted: Wanted) -> tuple[str, str]:
    """Returns the kind and the name of the caller whose counters are to be new; empty for all.

    Raises:
        StatusError: the order names none, or more than one.
    """
    taken = _take(wanted, *_COUNTED)
    given = {name: value for name, value in zip(_COUNTED, taken, strict=True) if value is not None}
    if len(given) != 1:
        raise invalid_argument("", "expected one of principal, key (its id), address, or all: true")
    ((by, value),) = given.items()
    if by == "all":
        if value is not True:
            raise invalid_argument(by, "expected true")
        return "", ""
    name = _text(by, value)
    if by == "address":
        try:
            ip_address(name)
        except ValueError:
            raise invalid_argument(by, "expected an IP address") from None
    return by, name


def store_errand(action: str) -> StoreErrand | None:
    """Returns the errand of an action on the store of credentials; None if it is another one."""
    return _ERRANDS.get(action)


async def run_store_errand(
    errand: StoreErrand,
    opened: AbstractAsyncContextManager[Store],
    audit: Audit,
    wanted: Mapping[str, Any],
) -> dict[str, Any]:
    """Runs an errand on the store that is open during it; returns the answer as JSON values.

    Raises:
        StatusError: what is wanted is malformed, or does not exist.
        MalformedError: a name, scope or network is malformed.
        StoreUnavailableError: the store does not answer.
    """
    async with opened as store:
        return await errand(store, audit, dict(wanted))


def _take(wanted: Wanted, *names: str) -> Sequence[Any]:
    unknown = wanted.keys() - set(names)
    if unknown:
        expected = ", ".join(names) or "nothing"
        raise invalid_argument(min(unknown), f"expected only {expected}")
    return [wanted.get(name) for name in names]


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise invalid_argument(name, "expected a text that is not empty")
    if begins_as_secret(value):
        # The audit trail shows what operators ask for.
        raise invalid_argument(name, "expected an id or a name; a secret must not be sent here")
    return value


def _texts(name: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise invalid_argument(name, "expected a list of texts")
    return tuple(value)


def _seconds(name: str, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < float(str(value)) <= _LONGEST_S:
        raise invalid_argument(name, "expected seconds, more than 0")
    return float(str(value))


def _made(made: MadeKey) -> dict[str, Any]:
    return {"key": made.secret} | shown_key(made.record)


def _no_key() -> StatusError:
    return StatusError(Code.NOT_FOUND, "no such key: GET /keys lists those that exist")
