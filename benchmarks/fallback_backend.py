"""The back end in Python, for machines without Go: correct, but slower than some gateways.

`python -m benchmarks.fallback_backend -listen HOST:PORT`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import grpc.aio

from benchmarks.sample import ITEM, message, message_class

_LARGEST = 128 * 1024 * 1024
_PIECE_BYTES = 64 * 1024


@cache
def _list(count: int) -> bytes:
    return message("ListItemsResponse", {"items": [ITEM] * count})


class Servicer(grpc.GenericRpcHandler):
    """Answers bench.v1.Bench with prepared bytes."""

    def __init__(self) -> None:
        self._item = message("Item", ITEM)
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "GetItem": unary(self._get_item),
            "CreateItem": unary(self._item_again),
            "UpdateItem": unary(self._item_again),
            "ListItems": unary(self._list_items),
            "WatchItems": stream(self._watch_items),
            "GetBlob": unary(self._get_blob),
            "PutBlob": unary(self._put_blob),
            "DownloadBlob": stream(self._download_blob),
            "UploadBlob": grpc.stream_unary_rpc_method_handler(self._upload_blob),
        }

    def service(
        self, details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        """The handler of a method."""
        return self._handlers.get(details.method.rpartition("/")[2])

    async def _get_item(self, request: bytes, context: Any) -> bytes:
        if b"missing-" in request:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such item")
        return self._item

    async def _item_again(self, _: bytes, _context: object) -> bytes:
        return self._item

    async def _list_items(self, request: bytes, _: object) -> bytes:
        return _list(message_class("ListItemsRequest").FromString(request).count)

    async def _watch_items(self, request: bytes, _: object) -> AsyncIterator[bytes]:
        for _number in range(message_class("WatchItemsRequest").FromString(request).count):
            yield self._item

    async def _get_blob(self, request: bytes, _: object) -> bytes:
        size = message_class("GetBlobRequest").FromString(request).size
        body = message_class("google.api.HttpBody")(content_type="image/png", data=bytes(size))
        return bytes(body.SerializeToString())

    async def _put_blob(self, request: bytes, _: object) -> bytes:
        size = len(message_class("PutBlobRequest").FromString(request).content.data)
        return bytes(message_class("PutBlobResponse")(size=size).SerializeToString())

    async def _download_blob(self, request: bytes, _: object) -> AsyncIterator[bytes]:
        size = message_class("GetBlobRequest").FromString(request).size
        for start in range(0, size, _PIECE_BYTES):
            data = bytes(min(_PIECE_BYTES, size - start))
            body = message_class("google.api.HttpBody")(content_type="image/png", data=data)
            yield bytes(body.SerializeToString())

    async def _upload_blob(self, parts: AsyncIterator[bytes], _: object) -> bytes:
        size = 0
        async for part in parts:
            size += len(message_class("google.api.HttpBody").FromString(part).data)
        return bytes(message_class("PutBlobResponse")(size=size).SerializeToString())


async def serve(listen: str) -> None:
    """Serves until it is killed."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", _LARGEST),
                                      ("grpc.max_send_message_length", _LARGEST)])  # fmt: skip
    server.add_generic_rpc_handlers((Servicer(),))
    server.add_insecure_port(listen)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[2]))
