"""A lean gRPC client over HTTP/2: wire bytes in, wire bytes out, many calls on few connections.

Theory of operation. `gateway.http2` is a state machine without I/O: it takes bytes, calls the
listeners of streams, and collects the bytes to send. `socket.py` puts it on an asyncio transport,
`calls.py` listens for gRPC, `channel.py` finds each call a connection. Why it is cheap:

* It advertises a header table of size 0, so that each block it receives has one meaning, and a
  block seen before is not decoded again.
* A method's request headers are encoded once; a call appends its own metadata.
* All calls that start in one turn of the event loop leave in one write.
* Frames are cut from the buffer by integer arithmetic; a unary call is one future and one object.
"""

from gateway.upstream.channels.http2.channel import Http2Channel as Http2Channel
