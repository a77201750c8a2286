"""A channel that answers as it is told, and remembers what it was asked."""

from dataclasses import dataclass, field

from gateway.call import CallMetadata, Metadata, Reply, RequestBytes
from gateway.schema.catalog import Method
from gateway.status import StatusError
from gateway.transcoding.call_head import CallHead


@dataclass(frozen=True, slots=True)
class Asked:
    """One call as the channel got it."""

    method: Method
    request: RequestBytes
    metadata: Metadata
    timeout_s: float | None


@dataclass(eq=False)
class ScriptedChannel:
    """Answers every call with one reply, or raises one error."""

    answer: Reply | StatusError = field(default_factory=Reply)
    asked: list[Asked] = field(default_factory=list)
    graces_s: list[float] = field(default_factory=list)

    async def call(
        self, method: Method, request: RequestBytes, metadata: CallMetadata, timeout_s: float | None
    ) -> Reply:
        """Answers, and remembers."""
        pairs = metadata.metadata() if isinstance(metadata, CallHead) else metadata
        self.asked.append(Asked(method, request, pairs, timeout_s))
        if isinstance(self.answer, StatusError):
            raise self.answer
        return self.answer

    async def close(self, grace_s: float = 0.0) -> None:
        """Remembers how long it would have waited."""
        self.graces_s.append(grace_s)
