"""What is sent together at the end of a turn."""

import asyncio
from typing import Any

from gateway.listeners.write_batch import WriteBatch


class ClientConnection(asyncio.Transport):
    """Writes down what is written, with everybody else's."""

    def __init__(self, sent: list[bytes]) -> None:
        super().__init__()
        self.sent = sent
        self.closing = False

    def write(self, data: Any) -> None:
        self.sent.append(data)

    def is_closing(self) -> bool:
        return self.closing


async def test_everything_of_a_turn_is_sent_in_order_when_it_ends() -> None:
    sent: list[bytes] = []
    write_batch, one, other = (
        WriteBatch(asyncio.get_running_loop()),
        ClientConnection(sent),
        ClientConnection(sent),
    )
    for wire, data in ((one, b"1"), (other, b"2"), (one, b"3")):
        write_batch.add(wire, data)
    assert sent == []
    await asyncio.sleep(0)
    assert sent == [b"1", b"2", b"3"]
    write_batch.add(one, b"4")
    await asyncio.sleep(0)
    assert sent[3:] == [b"4"]


async def test_a_flush_sends_at_once_and_only_once() -> None:
    sent: list[bytes] = []
    write_batch, wire = WriteBatch(asyncio.get_running_loop()), ClientConnection(sent)
    write_batch.add(wire, b"1")
    write_batch.flush()
    assert sent == [b"1"]
    await asyncio.sleep(0)
    assert sent == [b"1"]


async def test_nothing_is_written_to_a_transport_that_closes() -> None:
    sent: list[bytes] = []
    write_batch, gone, there = (
        WriteBatch(asyncio.get_running_loop()),
        ClientConnection(sent),
        ClientConnection(sent),
    )
    write_batch.add(gone, b"1")
    write_batch.add(there, b"2")
    gone.closing = True
    await asyncio.sleep(0)
    assert sent == [b"2"]
