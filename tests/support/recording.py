"""A clock that moves when told, and an audit trail that can be read back."""

from dataclasses import dataclass, field


@dataclass
class Clock:
    """Says what it is set to."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class AuditLog:
    """Remembers every event with its fields."""

    events: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def record(self, event: str, /, **fields: str) -> None:
        """Notes an event."""
        self.events.append((event, fields))

    @property
    def names(self) -> list[str]:
        """The events' names, in order."""
        return [name for name, _ in self.events]
