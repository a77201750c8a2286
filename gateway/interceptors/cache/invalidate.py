"""Drops the stored replies that a successful change has outdated (RFC 9111 section 4.4)."""

import asyncio
from collections.abc import Awaitable, Collection

from gateway.cache.confirmation import is_change_refused
from gateway.cache.paths import changed_paths
from gateway.cache.tags import dropped_tags
from gateway.call import Call, Code, Handler, Reply, StatusError
from gateway.interceptors.cache.fills import CallCache
from gateway.policy.reply_tags import TagMaker


class Invalidate:
    """Drops what a successful call of a method with side effects has changed."""

    def __init__(self, cache: CallCache, tags: TagMaker, *, streams: bool) -> None:
        """`tags` makes those that a successful call drops."""
        self._cache = cache
        self._tags = tags
        self._streams = streams

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call; a stream may have changed something however it ends."""
        if self._streams:
            call.on_end(lambda _: self._drop(call, ()))
            return proceed(call)
        if call.target[0] in ("GET", "HEAD"):  # RFC 9110 section 9.2.1: safe
            return proceed(call)
        return self._proceed(call, proceed)

    async def _proceed(self, call: Call, proceed: Handler) -> Reply:
        try:
            reply = await proceed(call)
        except StatusError as error:
            if error.code is Code.DEADLINE_EXCEEDED:  # it may have been done after all
                self._drop(call, ())
            raise
        except asyncio.CancelledError:
            self._drop(call, ())
            raise
        if is_change_refused(reply.metadata):
            reply.metadata = self._cache.consumed(reply.metadata)
            return reply
        self._drop(call, reply.metadata)
        if self._cache.shared is not None:
            # The client must see its change also through another node.
            await self._cache.shared.settled()
        reply.metadata = self._cache.consumed(reply.metadata)
        return reply

    def _drop(self, call: Call, metadata: Collection[tuple[str, str | bytes]]) -> None:
        path = call.target[1]
        message = call.message_at_hand()
        tags = dropped_tags(metadata) | (
            self._tags.of(message) if message is not None else frozenset()
        )
        if path or tags:
            host = call.headers.get("Host", "")
            with_parent = self._cache.options.invalidate_parent
            paths = changed_paths(path, metadata, host, with_parent=with_parent)
            self._cache.changed(paths, tags)
