"""API keys as credentials, in their own header."""

import asyncio
import time
from collections.abc import Callable

from gateway.audit import NO_AUDIT, Audit
from gateway.auth.authenticator import MUST_ASK, Challenge, MustAsk, cannot_check
from gateway.auth.cache import RecentValues, TtlCache
from gateway.auth.keys.api_keys import ApiKeys
from gateway.auth.secrets import API_KEY, is_secret
from gateway.call import Call, Code, Principal, StatusError
from gateway.config.client_networks import Networks
from gateway.stores.base import KeyRecord, StoreUnavailableError

_NOTE_EVERY_S = 60.0
_REFUSED = "the API key is unknown, has expired, was revoked, or may not be used from here"


class KeyAuthenticator:
    """Maps API keys to the principals that own them."""

    kind = "api_key"

    def __init__(
        self,
        keys: ApiKeys,
        header: str,
        audit: Audit = NO_AUDIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._header = header
        self._lower = header.lower().encode()
        # RFC 9110 section 15.5.2 requires a challenge, and no scheme for keys is registered.
        self.challenge = Challenge(f'ApiKey header="{header}"', header, header)
        self._audit = audit
        self._clock = clock
        self._known = TtlCache(self._find, lambda text: is_secret(text, API_KEY), clock=clock)
        self._noting: dict[str, asyncio.Task[None]] = {}
        # Not compared with the time in the store, since the clocks of nodes need not agree.
        self._noted = RecentValues[str, None]()

    def recall(self, call: Call, _: str | None) -> Principal | MustAsk | None:
        """The principal of the key, if cached; see `Authenticator.recall`."""
        text = call.header(self._header, self._lower)
        if text is None:
            return None
        key = self._known.cached(text)
        # All other checks of a key are left to `authenticate`.
        return MUST_ASK if key is None or key.networks or key.use_is_news else key.principal

    async def authenticate(self, call: Call) -> Principal | None:
        """The principal of the key; see `Authenticator.authenticate`."""
        text = call.header(self._header, self._lower)
        if text is None:
            return None
        if not text:
            raise self._refusal(f"the header {self._header} is empty")
        key = self._known.cached(text)
        if key is None:
            key = await self._look_up(text)
        if key.networks and not key.admits(call.peer):
            # The same message as for an unknown key: a thief of the key learns nothing about it.
            self._audit.record(
                "policy.refused",
                rule="networks of the key",
                credential=key.principal.credential,
                principal=key.principal.name,
                peer=call.peer,
            )
            raise self._refusal()
        if key.use_is_news:
            self._note_use(key)
        return key.principal

    async def close(self) -> None:
        """Waits until the uses of keys are recorded."""
        if self._noting:
            await asyncio.wait(list(self._noting.values()))

    async def _look_up(self, text: str) -> "_Key":
        try:
            key = await self._known(text)
        except StoreUnavailableError:
            raise cannot_check() from None
        if key is None:
            raise self._refusal()
        return key

    async def _find(self, text: str) -> "_Key | None":
        record = await self._keys.verify(text)
        if record is None:
            return None
        until_s, _ = self._noted.get(record.id, (0.0, None))
        return _Key(record, use_is_news=self._clock() >= until_s)

    def _refusal(self, message: str = _REFUSED) -> StatusError:
        return StatusError(
            Code.UNAUTHENTICATED,
            message,
            headers=[("WWW-Authenticate", self.challenge.scheme)],
        )

    def _note_use(self, key: "_Key") -> None:
        """Records the use in the store; no call waits for that, and none fails with it."""
        key.use_is_news = False
        key_id = key.principal.credential
        self._noted.put(key_id, None, self._clock() + _NOTE_EVERY_S)
        if key_id not in self._noting:
            task = self._noting[key_id] = asyncio.create_task(self._record_use(key_id))
            task.add_done_callback(lambda _: self._noting.pop(key_id))

    async def _record_use(self, key_id: str) -> None:
        try:
            await self._keys.note_use(key_id)
        except StoreUnavailableError:
            return  # its next use is noted


class _Key:
    """A valid key."""

    __slots__ = ("_admitted", "networks", "principal", "use_is_news")

    def __init__(self, record: KeyRecord, *, use_is_news: bool) -> None:
        self.principal = Principal(record.owner, record.scopes, kind="key", credential=record.id)
        self.networks = Networks(record.networks)
        self._admitted: str | None = None
        self.use_is_news = use_is_news

    def admits(self, peer: str) -> bool:
        """True if it may be used from this address; without an address it may not."""
        # Avoids two microseconds of parsing at each call of the last client.
        if peer != self._admitted:
            if not self.networks.have(peer):
                return False
            self._admitted = peer
        return True
