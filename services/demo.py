"""`make run`: the sample back ends and a gateway in front of them, in one process."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.app.gateway import open_gateway
from gateway.config.loader import ConfigError, load_config
from gateway.listeners.sockets import ListenError
from services import auth, echo, library
from services.serving import Register, serve, settle

_TRY = """
The gateway serves {url}, in front of the library on {library} and the echo service on {echo}.
Try:

  curl {url}/v1/shelves
  curl {url}/v1/shelves/fiction/books
  curl '{url}/v1/books?genre=FICTION&page_size=2'
  curl --json '{{"title": "Emma", "authors": ["Jane Austen"]}}' \\
    '{url}/v1/shelves/fiction/books?book_id=emma'
  curl -X PATCH --json '{{"title": "Emma (1815)"}}' {url}/v1/shelves/fiction/books/emma
  curl -i {url}/v1/shelves/nowhere
  curl '{url}/v1/echo/hello?number=7&words=a&words=b'
  curl -N '{url}/v1/echo/tick:repeat?count=5&interval=1s'
  curl -N -H 'Accept: text/event-stream' '{url}/v1/shelves/fiction/books:watch?existing=true'
  curl --json '[{{"book": {{"title": "Ode"}}}}, {{"book": {{"title": "Elegy"}}}}]' \\
    {url}/v1/shelves/poetry/books:import
  curl -N -T . -X POST -H 'Content-Type: application/x-ndjson' \\
    '{url}/v1/shelves/fiction/books/solaris:discuss'             then type {{"text": "Hello"}}
  .venv/bin/python -m websockets {ws}/v1/shelves/fiction/books/solaris:discuss
                                                              the same by WebSocket
  curl --data-binary @picture.png -H 'Content-Type: image/png' \\
    {url}/v1/shelves/fiction/books/solaris/cover:upload
  curl -F cover=@picture.png {url}/v1/shelves/fiction/books/solaris/cover:upload
  curl -o cover.png {url}/v1/shelves/fiction/books/solaris/cover:download
  curl -H 'Accept: application/x-protobuf' {url}/v1/shelves | protoc --decode_raw

Tokens: the authentication server on {auth} knows the client demo and the user ada, see
services/accounts.yaml; what is issued is kept in {store}.

  curl -u demo:demo-secret {url}/oauth2/token -d grant_type=client_credentials -d scope=books.write
  TOKEN=...  REFRESH=...                                       from its answer
  curl -H "Authorization: Bearer $TOKEN" {url}/v1/echo/hello   x-principal is what back ends see
  curl -i -X DELETE {url}/v1/shelves/fiction/books/emma         401: it needs the scope books.write
  curl -X DELETE -H "Authorization: Bearer $TOKEN" {url}/v1/shelves/fiction/books/emma
  curl -u demo:demo-secret {url}/oauth2/introspect -d token=$TOKEN
  curl -u demo:demo-secret {url}/oauth2/token -d grant_type=refresh_token -d refresh_token=$REFRESH
  curl -u demo:demo-secret {url}/oauth2/revoke -d token=$TOKEN
  curl -i -H "Authorization: Bearer $TOKEN" {url}/v1/shelves   401 within a second
  curl {url}/.well-known/oauth-authorization-server

  gateway routes --descriptors gen/descriptors.binpb          every route
  gateway explain 'GET /v1/shelves/fiction/books/emma' --descriptors gen/descriptors.binpb

Ctrl-C ends it. Requests are logged below.
"""


_BACK_ENDS: Mapping[str, Register] = {
    "library": library.register,
    "echo": echo.register,
    "auth": auth.register,
}


async def run() -> None:
    """Serves until SIGINT or SIGTERM.

    Raises:
        ListenError: the gateway's port is taken.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        addresses = {
            name: await stack.enter_async_context(serve(register))
            for name, register in _BACK_ENDS.items()
        }
        folder = stack.enter_context(TemporaryDirectory(prefix="gateway-"))
        store = f"sqlite:///{Path(folder, 'gateway.db')}"
        flags = {
            "descriptors": ["gen/descriptors.binpb"],
            "upstreams": {
                "library": {"target": addresses["library"], "services": ["library.v1.*"]},
                "echo": {"target": addresses["echo"], "services": ["echo.v1.*"]},
                "auth": {"target": addresses["auth"], "services": ["gatewayapi.v1.*"]},
            },
            "auth": {"store": store, "tokens": {"auth_upstream": "auth"}},
            # The library's protos say who may call what; the echo's leave it to us.
            "policies": [{"selector": "echo.v1.*", "anonymous": True}],
        }
        config = load_config(None, os.environ, flags)
        gateway = await stack.enter_async_context(open_gateway(config))
        print(
            _TRY.format(url=gateway.url, ws=f"ws://{gateway.address}", store=store, **addresses),
            flush=True,
        )
        await stopped.wait()
        print("Finishing what is under way.", flush=True)
    await settle()


def main() -> int:
    """Runs the demo; what keeps it from starting is one line."""
    try:
        asyncio.run(run())
    except (ConfigError, ListenError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
