"""The plain way in Python, as a user would write it: aiohttp routes, grpc.aio, json_format.

`python -m benchmarks.plain_python PORT BACKEND`.
"""

import sys
from typing import Any

import grpc.aio
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from benchmarks.sample import schema


def message_class(name: str) -> Any:
    """The generated class of a message of bench.proto."""
    return GetMessageClass(schema().pool.FindMessageTypeByName(f"bench.v1.{name}"))


def application(backend: str) -> web.Application:
    """A REST API over the back end, route by route."""
    item, listing = message_class("Item"), message_class("ListItemsResponse")
    get, create, many = map(
        message_class, ("GetItemRequest", "CreateItemRequest", "ListItemsRequest")
    )

    async def connect(app: web.Application) -> Any:
        channel = grpc.aio.insecure_channel(
            backend, options=[("grpc.max_receive_message_length", -1)]
        )

        def method(name: str, reply: Any) -> Any:
            return channel.unary_unary(
                f"/bench.v1.Bench/{name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=reply.FromString,
            )

        app["get"], app["create"] = method("GetItem", item), method("CreateItem", item)
        app["list"] = method("ListItems", listing)
        yield
        await channel.close()

    def answer(message: Any) -> web.Response:
        text = json_format.MessageToJson(
            message, always_print_fields_with_no_presence=True, indent=None
        )
        return web.Response(text=text, content_type="application/json")

    async def get_item(request: web.Request) -> web.Response:
        return answer(await request.app["get"](get(**request.match_info)))

    async def create_item(request: web.Request) -> web.Response:
        parsed = json_format.Parse(await request.text(), item())
        return answer(await request.app["create"](create(item=parsed, **request.match_info)))

    async def list_items(request: web.Request) -> web.Response:
        return answer(await request.app["list"](many(count=int(request.query["count"]))))

    app = web.Application()
    app.cleanup_ctx.append(connect)
    app.router.add_get("/v1/shelves/{shelf}/items/{item}", get_item)
    app.router.add_post("/v1/shelves/{shelf}/items", create_item)
    app.router.add_get("/v1/items", list_items)
    return app


if __name__ == "__main__":
    web.run_app(application(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), access_log=None)
