"""The connection to a collector, which receives spans or metrics by OTLP over HTTP (OTLP 1.5).

All of it blocks: only the thread of the exporter calls it.
"""

import http.client
import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.deflate import FASTEST, gzipped

_LONGEST_ANSWER: Final = 65_536
_LONGEST_PAUSE_S: Final = 60.0
_REPEATABLE: Final = frozenset([429, 502, 503, 504])
"""The statuses after which a request is sent again (section "Retryable Response Codes")."""


class Outcome(NamedTuple):
    """The outcome of one request to the collector."""

    why_not: str = ""
    """The reason why the request was not taken; empty if it was."""
    may_repeat: bool = False
    pause_s: float = 0.0
    """The least seconds to wait, as the collector demands in `Retry-After`."""


class Collector:
    """Sends requests to one URL, on one connection that is kept."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        compresses: bool,
    ) -> None:
        """Takes the time limit for each response, in seconds."""
        parts = urlsplit(url)
        self._path = parts.path
        self._timeout_s = timeout_s
        self._compresses = compresses
        self._headers = {**headers, "content-type": "application/x-protobuf"}
        if compresses:
            self._headers["content-encoding"] = "gzip"
        host, port = parts.hostname or "", parts.port
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(
                host, port, timeout=timeout_s, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)

    def send(self, body: bytes) -> Outcome:
        """Sends one request, such as an `ExportTraceServiceRequest`."""
        sent = gzipped(body, FASTEST) if self._compresses else body
        try:
            self._connection.request("POST", self._path, sent, self._headers)
            response = self._connection.getresponse()
            answer = response.read(_LONGEST_ANSWER)
            if len(answer) == _LONGEST_ANSWER:
                self.close()
        except TimeoutError:
            self.close()
            return Outcome(
                f"the collector did not respond within {self._timeout_s:g} s", may_repeat=True
            )
        except ssl.SSLCertVerificationError:
            self.close()
            return Outcome("the certificate of the collector is not valid", may_repeat=True)
        except (OSError, http.client.HTTPException):
            self.close()
            return Outcome("the collector cannot be reached", may_repeat=True)
        if 200 <= response.status < 300:
            return Outcome()
        return Outcome(
            f"the collector responded with status {response.status}",
            may_repeat=response.status in _REPEATABLE,
            pause_s=_seconds(response.headers.get("retry-after", "")),
        )

    def close(self) -> None:
        """Closes the connection; the next request opens a new one."""
        self._connection.close()


def _seconds(retry_after: str) -> float:
    """Parses `Retry-After` in seconds; a date counts as none (RFC 9110 section 10.2.3)."""
    if not (retry_after.isascii() and retry_after.isdigit()):
        return 0.0
    return min(float(retry_after[:6]), _LONGEST_PAUSE_S)
