"""`make run`: the sample back ends and a gateway in front of them, in one process.

`make try`, or `python -m services.demo --more`, prints more requests to try.
"""

import asyncio
import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.app.gateway import open_gateway
from gateway.config.loader import ConfigError, load_config
from gateway.config.model import Config
from gateway.endpoints.docs.page import installed_assets
from gateway.listeners.sockets import ListenError
from services import auth, echo, library
from services.serving import Register, serve, settle

_FIRST = """
The gateway serves {url}
{docs}
Try, in another terminal:
  curl {url}/v1/shelves
  curl '{url}/v1/books?genre=FICTION&page_size=2'
  curl -i {url}/v1/shelves/nowhere
  curl -N '{url}/v1/echo/tick:repeat?count=3&interval=1s'

More to try (writing, streams, files, tokens): make try
Ctrl-C ends it. Requests are logged below.
"""

_MORE = """
Each block works as it stands, in the order given, while `make run` serves {url}.

Read and write:

  curl {url}/v1/shelves/fiction/books
  curl --json '{{"title": "Emma", "authors": ["Jane Austen"]}}' \\
    '{url}/v1/shelves/fiction/books?book_id=emma'
  curl -X PATCH --json '{{"title": "Emma (1815)"}}' {url}/v1/shelves/fiction/books/emma
  curl '{url}/v1/echo/hello?number=7&words=a&words=b'

Rules of values, in the protos: each that is broken is named by its JSON path (400):

  curl -i --json '{{"authors": ["Jane Austen", ""], "pageCount": -1}}' \\
    {url}/v1/shelves/fiction/books

Streams: JSON lines, server-sent events (Ctrl-C ends them), an array up, both ways at once:

  curl -N '{url}/v1/echo/tick:repeat?count=5&interval=1s'
  curl -N -m 5 -H 'Accept: text/event-stream' '{url}/v1/shelves/fiction/books:watch?existing=true'
  curl --json '[{{"book": {{"title": "Ode"}}}}, {{"book": {{"title": "Elegy"}}}}]' \\
    {url}/v1/shelves/poetry/books:import
  echo '{{"text": "Hello"}}' | curl -N -T - -X POST -H 'Content-Type: application/x-ndjson' \\
    {url}/v1/shelves/fiction/books/solaris:discuss
  (echo '{{"text": "Hello"}}'; sleep 1) | .venv/bin/python -m websockets \\
    {ws}/v1/shelves/fiction/books/solaris:discuss

Files, up as a body or a form, and down; protobuf instead of JSON:

  curl --data-binary @docs/benchmark.svg -H 'Content-Type: image/svg+xml' \\
    {url}/v1/shelves/fiction/books/solaris/cover:upload
  curl -F 'cover=@docs/benchmark.svg;type=image/svg+xml' \\
    {url}/v1/shelves/fiction/books/solaris/cover:upload
  curl -o /tmp/cover.svg {url}/v1/shelves/fiction/books/solaris/cover:download
  curl -s -H 'Accept: application/x-protobuf' {url}/v1/shelves | \\
    .venv/bin/python -m grpc_tools.protoc --decode_raw

Tokens (the client demo and the user ada are in services/accounts.yaml):

  ANSWER=$(curl -s -u demo:demo-secret {url}/oauth2/token \\
    -d grant_type=client_credentials -d scope=books.write)
  TOKEN=$(echo "$ANSWER" | grep -o 'gwt_[0-9A-Za-z]*')
  REFRESH=$(echo "$ANSWER" | grep -o 'gwr_[0-9A-Za-z]*')
  curl -H "Authorization: Bearer $TOKEN" {url}/v1/echo/hello   # see x-principal in the answer
  curl -i -X DELETE {url}/v1/shelves/fiction/books/emma        # 401: it needs a token
  curl -X DELETE -H "Authorization: Bearer $TOKEN" {url}/v1/shelves/fiction/books/emma
  curl -u demo:demo-secret {url}/oauth2/introspect -d token=$TOKEN
  curl -u demo:demo-secret {url}/oauth2/token -d grant_type=refresh_token \\
    -d refresh_token=$REFRESH
  curl -u demo:demo-secret {url}/oauth2/revoke -d token=$TOKEN
  sleep 1; curl -i -H "Authorization: Bearer $TOKEN" {url}/v1/shelves   # 401: revoked
  curl {url}/.well-known/oauth-authorization-server

Routes, and the way of one request:

  .venv/bin/gateway routes --descriptors gen/descriptors.binpb
  .venv/bin/gateway explain 'GET /v1/shelves/fiction/books/emma' \\
    --descriptors gen/descriptors.binpb
"""

_DESCRIPTION = """\
Operations with a lock need a token. *Authorize* asks for one: the `client_id` is `demo`, the
`client_secret` is `demo-secret`.
"""
"""The text at the head of the page."""

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
            # The order of the docs page; without it, that of the files.
            "services": ["library.v1.*", "echo.v1.*"],
            "upstreams": {
                "library": {"target": addresses["library"], "services": ["library.v1.*"]},
                "echo": {"target": addresses["echo"], "services": ["echo.v1.*"]},
                "auth": {"target": addresses["auth"], "services": ["gatewayapi.v1.*"]},
            },
            "auth": {"store": store, "tokens": {"auth_upstream": "auth"}},
            # The library's protos say who may call what; the echo's leave it to us.
            "policies": [{"selector": "echo.v1.*", "anonymous": True}],
            "validation": "protovalidate+field_behavior",
            "openapi": {
                "enabled": True,
                "title": "The sample library",
                "description": _DESCRIPTION,
                "scopes": {"books.write": "change shelves and books"},
            },
            "docs": {"enabled": installed_assets() is not None},
        }
        config = load_config(None, os.environ, flags)
        gateway = await stack.enter_async_context(open_gateway(config))
        print(_FIRST.format(url=gateway.url, docs=_docs_line(config, gateway.url)), flush=True)
        await stopped.wait()
        print("Finishing what is under way.", flush=True)
    await settle()


def _docs_line(config: Config, url: str) -> str:
    """Says where the API is described: on a page if its files are installed."""
    if config.docs.enabled:
        return f"Read about its API and try it in a browser: {url}{config.docs.path}"
    return f"Its API is described in {url}{config.openapi.path}.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo, or prints more to try; an error that prevents its start is one line."""
    parser = ArgumentParser(description="Serves the sample back ends through a gateway.")
    parser.add_argument("--more", action="store_true", help="print more to try, and serve nothing")
    more = parser.parse_args(arguments).more
    try:
        if more:
            # The address of the running demo, if both have the same settings.
            address = load_config(None, os.environ, {}).listen
            print(_MORE.format(url=f"http://{address}", ws=f"ws://{address}"))
            return 0
        asyncio.run(run())
    except (ConfigError, ListenError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
