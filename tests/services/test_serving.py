"""Back ends start on the address they are given, say where, and end without a fuss."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gen.echo.v1 import echo_pb2
from gen.echo.v1.echo_pb2_grpc import EchoServiceStub
from gen.library.v1 import library_pb2
from gen.library.v1.library_pb2_grpc import LibraryServiceStub
from services import echo, library
from services.serving import CannotListen, serve
from tests.support.servers import echo_server, library_server

ROOT = Path(__file__).parents[2]


async def services_at(address: str) -> set[str]:
    """The services that a server's reflection lists."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with grpc.aio.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = [answer async for answer in stub.ServerReflectionInfo(iter([request]))]
    return {service.name for service in answers[0].list_services_response.service}


async def test_each_back_end_lists_its_service_by_reflection() -> None:
    async with library_server() as at_library, echo_server() as at_echo:
        assert "library.v1.LibraryService" in await services_at(at_library)
        assert "echo.v1.EchoService" in await services_at(at_echo)
    assert at_library != at_echo
    assert at_library.startswith("127.0.0.1:")


async def test_reflection_can_be_left_out() -> None:
    async with serve(library.register, reflect=False) as address:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await services_at(address)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_unknown_method_is_unimplemented() -> None:
    async with echo_server() as address, grpc.aio.insecure_channel(address) as channel:
        unary: Any = channel.unary_unary("/echo.v1.EchoService/Nope")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_two_libraries_share_nothing() -> None:
    async with (
        library_server() as first,
        library_server() as second,
        grpc.aio.insecure_channel(first) as to_first,
        grpc.aio.insecure_channel(second) as to_second,
    ):
        poetry = library_pb2.DeleteShelfRequest(name="shelves/poetry")
        await LibraryServiceStub(to_first).DeleteShelf(poetry)
        await LibraryServiceStub(to_second).DeleteShelf(poetry)


async def test_a_taken_port_is_noticed() -> None:
    async with echo_server() as taken:
        with pytest.raises(CannotListen, match=taken):
            async with serve(echo.register, taken):
                pass


async def test_it_listens_on_a_unix_socket(tmp_path: Path) -> None:
    async with (
        serve(echo.register, f"unix:{tmp_path}/echo") as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        response = await EchoServiceStub(channel).Echo(echo_pb2.EchoRequest(text="x"))
    assert address == f"unix:{tmp_path}/echo"
    assert response.text == "x"


async def test_the_server_is_gone_after_the_block() -> None:
    async with echo_server() as address:
        pass
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await EchoServiceStub(channel).Echo(echo_pb2.EchoRequest(), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        pytest.param(["services"], ["library", "echo"], id="all"),
        pytest.param(["services.library", "--listen", "127.0.0.1:0"], ["library"], id="library"),
        pytest.param(["services.echo", "--listen", "localhost:0"], ["echo"], id="echo"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
async def test_a_command_serves_until_a_signal_and_ends_quietly(
    arguments: list[str], names: list[str], number: signal.Signals
) -> None:
    process = await start(*arguments)
    assert process.stdout is not None
    for name in names:
        told, address = (await process.stdout.readline()).decode().split()
        assert told == name
        assert await services_at(address)
    process.send_signal(number)
    out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_command_ends_quietly_with_calls_open_and_calls_broken_off() -> None:
    process = await start("services.library")
    assert process.stdout is not None
    _, address = (await process.stdout.readline()).decode().split()
    solaris = "shelves/fiction/books/solaris"
    async with grpc.aio.insecure_channel(address) as channel:
        stub = LibraryServiceStub(channel)
        left, open_talk = stub.Discuss(), stub.Discuss()
        for talk in (left, open_talk):
            await talk.write(library_pb2.DiscussRequest(name=solaris))
            await talk.initial_metadata()
        watch = stub.WatchBooks(library_pb2.WatchBooksRequest(parent="shelves/fiction"))
        await watch.initial_metadata()
        left.cancel()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_command_that_cannot_listen_says_so_in_a_line() -> None:
    async with echo_server() as taken:
        process = await start("services.echo", "--listen", taken)
        _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode().splitlines()[-1] == f"{taken}: cannot be listened on; is it taken?"
    assert "Traceback" not in err.decode()


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
