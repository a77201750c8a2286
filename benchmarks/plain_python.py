"""A gateway in plain Python, as a user would write it: aiohttp, grpc.aio, json_format.

`python -m benchmarks.plain_python PORT BACKEND`.
"""

import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import uvloop
from aiohttp import web
from google.protobuf import json_format

from benchmarks.sample import message_class

_MAX_BODY_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 64 * 1024


class Stub:
    """The methods of bench.v1.Bench, like those of generated code."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.get_item = self._unary(channel, "GetItem", "Item")
        self.create_item = self._unary(channel, "CreateItem", "Item")
        self.list_items = self._unary(channel, "ListItems", "ListItemsResponse")
        self.get_blob = self._unary(channel, "GetBlob", "google.api.HttpBody")
        self.put_blob = self._unary(channel, "PutBlob", "PutBlobResponse")
        self.watch_items: Any = channel.unary_stream(
            "/bench.v1.Bench/WatchItems",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_class("Item").FromString,
        )
        self.download_blob: Any = channel.unary_stream(
            "/bench.v1.Bench/DownloadBlob",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_class("google.api.HttpBody").FromString,
        )
        self.upload_blob: Any = channel.stream_unary(
            "/bench.v1.Bench/UploadBlob",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_class("PutBlobResponse").FromString,
        )

    @staticmethod
    def _unary(channel: grpc.aio.Channel, name: str, reply: str) -> Any:
        return channel.unary_unary(
            f"/bench.v1.Bench/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_class(reply).FromString,
        )


STUB = web.AppKey("stub", Stub)


def as_json(message: Any) -> str:
    """The JSON of a message, on one line."""
    return json_format.MessageToJson(
        message, always_print_fields_with_no_presence=True, indent=None
    )


def answer(message: Any) -> web.Response:
    """A response with JSON."""
    return web.Response(text=as_json(message), content_type="application/json")


async def get_item(request: web.Request) -> web.Response:
    message = message_class("GetItemRequest")(**request.match_info)
    return answer(await request.app[STUB].get_item(message))


async def create_item(request: web.Request) -> web.Response:
    message = message_class("CreateItemRequest")(**request.match_info)
    json_format.Parse(await request.text(), message.item)
    return answer(await request.app[STUB].create_item(message))


async def list_items(request: web.Request) -> web.Response:
    message = message_class("ListItemsRequest")(count=int(request.query["count"]))
    return answer(await request.app[STUB].list_items(message))


async def watch_items(request: web.Request) -> web.StreamResponse:
    message = message_class("WatchItemsRequest")(count=int(request.query["count"]))
    events = request.headers.get("Accept") == "text/event-stream"
    media_type = "text/event-stream" if events else "application/x-ndjson"
    start, end = (b"data: ", b"\n\n") if events else (b"", b"\n")
    response = web.StreamResponse(headers={"Content-Type": media_type})
    await response.prepare(request)
    async for item in request.app[STUB].watch_items(message):
        await response.write(start + as_json(item).encode() + end)
    await response.write_eof()
    return response


async def get_blob(request: web.Request) -> web.Response:
    message = message_class("GetBlobRequest")(size=int(request.match_info["size"]))
    blob = await request.app[STUB].get_blob(message)
    return web.Response(body=blob.data, content_type=blob.content_type)


async def put_blob(request: web.Request) -> web.Response:
    message = message_class("PutBlobRequest")(name=request.match_info["name"])
    message.content.content_type = request.content_type
    message.content.data = await request.read()
    return answer(await request.app[STUB].put_blob(message))


async def download_blob(request: web.Request) -> web.StreamResponse:
    message = message_class("GetBlobRequest")(size=int(request.match_info["size"]))
    response = web.StreamResponse(headers={"Content-Type": "image/png"})
    await response.prepare(request)
    async for part in request.app[STUB].download_blob(message):
        await response.write(part.data)
    await response.write_eof()
    return response


async def upload_blob(request: web.Request) -> web.Response:
    async def parts() -> AsyncIterator[Any]:
        async for data in request.content.iter_chunked(_PIECE_BYTES):
            yield message_class("google.api.HttpBody")(data=data)

    return answer(await request.app[STUB].upload_blob(parts()))


def application(backend: str) -> web.Application:
    """A REST API for the back end, route by route."""

    async def connect(app: web.Application) -> AsyncIterator[None]:
        options = [("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(backend, options=options) as channel:
            app[STUB] = Stub(channel)
            yield

    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.cleanup_ctx.append(connect)
    app.router.add_get("/v1/shelves/{shelf}/items/{item}", get_item)
    app.router.add_post("/v1/shelves/{shelf}/items", create_item)
    app.router.add_get("/v1/items", list_items)
    app.router.add_get("/v1/items:watch", watch_items)
    app.router.add_get("/v1/blobs/{size}:download", download_blob)
    app.router.add_get("/v1/blobs/{size}", get_blob)
    app.router.add_post("/v1/blobs/{name}", put_blob)
    app.router.add_post("/v1/blobs:upload", upload_blob)
    return app


if __name__ == "__main__":
    web.run_app(
        application(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), access_log=None,
        loop=uvloop.new_event_loop(),
    )  # fmt: skip
