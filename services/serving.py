"""Starts sample back ends as real gRPC servers, and stops them cleanly."""

import asyncio
import signal
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc.aio
from grpc_reflection.v1alpha import reflection

from services.refusal import RefusalsAsStatus

Register = Callable[[grpc.aio.Server], str]
"""Adds a service to a server and returns its full name."""

FREE_PORT = "127.0.0.1:0"
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_GRACE_S = 0.5


class CannotListen(Exception):  # noqa: N818 - the name says what happened
    """The address cannot be listened on."""


@asynccontextmanager
async def serve(
    register: Register, listen: str = FREE_PORT, *, reflect: bool = True
) -> AsyncIterator[str]:
    """Runs a server; yields its address, with the chosen port if `listen` has port 0.

    Raises:
        CannotListen: the address is taken or invalid.
    """
    server = grpc.aio.server(
        interceptors=[RefusalsAsStatus()],
        options=[
            # Otherwise two servers could share a port, and each would get some of the calls.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ],
    )
    name = register(server)
    if reflect:
        reflection.enable_server_reflection((name, reflection.SERVICE_NAME), server)
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError:
        raise CannotListen(f"{listen}: cannot be listened on; is it taken?") from None
    await server.start()
    try:
        yield listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
    finally:
        await server.stop(_GRACE_S)


async def serve_until_stopped(backends: Mapping[str, tuple[Register, str]]) -> None:
    """Serves back ends by name, each with its address, until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        for name, (register, listen) in backends.items():
            address = await stack.enter_async_context(serve(register, listen))
            print(f"{name} {address}", flush=True)
        await stopped.wait()
    await settle()


async def settle() -> None:
    """Waits a moment for other tasks of this loop, at the end of a program.

    A stopped grpc server has tasks left for its cancelled calls, and each prints a traceback if the
    loop closes before it ends.
    """
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=_GRACE_S)


def main(backends: Mapping[str, Register], arguments: Sequence[str] | None = None) -> int:
    """Runs the command line for back ends by name: one takes `--listen`, several `--NAME`."""
    parser = ArgumentParser(description="Serves " + " and ".join(backends) + " over gRPC.")
    options = {name: "listen" if len(backends) == 1 else name for name in backends}
    for option in options.values():
        parser.add_argument(f"--{option}", default=FREE_PORT, metavar="HOST:PORT")
    chosen = vars(parser.parse_args(arguments))
    try:
        asyncio.run(
            serve_until_stopped(
                {name: (backends[name], chosen[option]) for name, option in options.items()}
            )
        )
    except CannotListen as error:
        parser.exit(1, f"{error}\n")
    return 0
