"""The endpoints of one upstream: a channel to each, and which of them take calls now."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from math import inf
from random import Random
from typing import Final, cast

from gateway.telemetry.event import about
from gateway.upstream.announcing import say_panic, say_resolved
from gateway.upstream.endpoint import Endpoint, State, Waiting
from gateway.upstream.interfaces import EndpointChannel, EndpointReport, counting
from gateway.upstream.levels import Levels, shares
from gateway.upstream.pickers import KeyedPicker, Picker, Policy
from gateway.upstream.zones import Zones

logger = logging.getLogger("gateway.upstream")

_UNSETTLED: Final = (State.IDLE, State.CONNECTING)
_NOT_WELL: Final = (State.FAILING, State.EJECTED, State.UNHEALTHY)


class Member:
    """An endpoint with its channel; a `Candidate` of pickers."""

    __slots__ = ("_counting", "channel", "endpoint", "since_s")

    def __init__(self, endpoint: Endpoint, channel: EndpointChannel, since_s: float = -inf) -> None:
        self.endpoint = endpoint
        self.channel = channel
        self._counting = counting(channel)
        self.since_s = since_s
        """The time at which its slow start began; `inf` while that is to come."""

    def age(self, now_s: float) -> None:
        """Notes when it begins to take calls; after a failure, its slow start begins again."""
        state = self.channel.state
        if state in _NOT_WELL:
            self.since_s = inf
        elif state is State.READY and self.since_s == inf:
            self.since_s = now_s

    @property
    def in_flight(self) -> int:
        """The number of calls that it has now."""
        return self._counting.in_flight


_PickerParts = tuple[list[tuple[int, Member, int, float]], list[Endpoint], bool]
"""All that decides how a picker works: the members that take calls, all endpoints if zones count,
and true in a panic."""

_Level = tuple[int, list[Member]]
"""The percentage of calls for the members of one priority, and those that take them."""


Open = Callable[[Endpoint], EndpointChannel]
"""Opens the channel to an endpoint; raises ValueError if its address is not a valid one."""


class Endpoints:
    """The members of an upstream, replaced as its addresses change."""

    def __init__(
        self,
        name: str,
        open_channel: Open,
        policy: Policy,
        drain_s: float,
        panic_percent: int = 50,
        *,
        waits_for_connecting: bool = False,
        zones: Zones | None = None,
        waiting: Waiting | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prefers connected members, unless `waits_for_connecting`: then those that connect for the
        first time take calls too, so that calls with one key do not change endpoints meanwhile.
        With `zones`, calls stay in a zone by its rule. With `waiting`, no call is given to a member
        where it would wait behind another, while one of its priority has room."""
        self._name = name
        self._panic_percent = panic_percent
        self.panics = False
        """True while endpoints that are left out get calls too, as too few others are there."""
        self._waits_for_connecting = waits_for_connecting
        self._zones = zones
        self._waiting = waiting
        self._local_percents: dict[int, int] = {}
        self._open = open_channel
        self._policy = policy
        self._drain_s = drain_s
        self._members: dict[tuple[str, ...], Member] = {}
        self._draining: dict[asyncio.Task[None], Member] = {}
        self._usable: list[Member] = []
        self._picker_parts: _PickerParts = ([], [], False)
        self._shares: list[tuple[int, int]] = []
        self._picker: Picker | None = None
        self._random = Random()  # noqa: S311 - the choice of an endpoint is no secret
        self._clock = clock
        self._started = False
        self._unresolved = ""
        self.only: Member | None = None
        """The member, if there is just one: then no picker is asked."""
        self.on_loss: Callable[[], None] | None = None
        """Called when an endpoint is connected no more, or cannot be."""

    def __len__(self) -> int:
        return len(self._members)

    @property
    def in_flight(self) -> int:
        """The number of calls under way at all members."""
        return sum([one.in_flight for one in self._members.values()])

    def pick(self) -> Member | None:
        """The member for the next call; None if there is none."""
        if self._picker is None:
            return None
        member, waiting = self._usable[self._picker.pick()], self._waiting
        if waiting is not None and (waiting.count or waiting.at_limit) and member.channel.is_full:
            able = self._with_room(self._usable, member.endpoint.priority)
            return able[self._level_picker(able).pick()] if able else member
        return member

    def pick_for(self, key: int) -> Member | None:
        """The member for a call with this key; None if there is none. Needs a `KeyedPicker`."""
        if self._picker is None:
            return None
        return self._usable[cast("KeyedPicker", self._picker).pick_for(key)]

    def another(self, tried: Sequence[Member], key: int | None = None) -> Member | None:
        """A member that was not tried, connected if possible; None if all were."""
        if key is not None and self._picker is not None:
            indices = {index for index, one in enumerate(self._usable) if one in tried}
            if len(indices) < len(self._usable):
                return self._usable[cast("KeyedPicker", self._picker).pick_for(key, indices)]
        untried = [one for one in self._members.values() if one not in tried]
        if not untried:
            return None
        able = [one for one in untried if one.channel.state is State.READY] or untried
        highest = min([one.endpoint.priority for one in able])
        level = [one for one in able if one.endpoint.priority == highest]
        best, _ = _usable(level, self._panic_percent, self._waits_for_connecting)
        best = self._with_room(best, highest) or best
        return best[self._level_picker(best).pick()]

    def _with_room(self, members: Sequence[Member], priority: int) -> list[Member]:
        """The connected ones of a priority that have room; none if calls may wait anywhere."""
        if self._waiting is None:
            return []
        able = [one for one in members if one.endpoint.priority == priority]
        able = [one for one in able if one.channel.state is State.READY]
        return [one for one in able if not one.channel.is_full]

    def leaves_out(self, member: Member) -> bool:
        """True if `member` gets no new calls: it is ejected, not well, or not connected."""
        return member not in self._usable

    def start(self) -> None:
        """Admits calls: from now on, it connects to all members if there are several."""
        if not self._started:
            self._started = True
            self._choose()

    def replace(self, endpoints: Iterable[Endpoint], *, quietly: bool = False) -> None:
        """Takes the endpoints of a new answer; calls at those that are gone may finish."""
        wanted = {one.addresses: one for one in endpoints}
        is_first = not self._members
        if wanted and self._unresolved:
            self._unresolved = ""
            say_resolved(self._name, len(wanted))
        for addresses in [one for one in self._members if one not in wanted]:
            self._drain(self._members.pop(addresses))
        for addresses, endpoint in wanted.items():
            member = self._members.get(addresses)
            if member is None:
                # Those of the first answer begin together: none has to be spared.
                self._add(endpoint, -inf if is_first else inf, quietly=quietly)
            else:
                member.endpoint = endpoint
        self._choose()

    def unresolved(self, reason: str) -> None:
        """Logs that no answer has come, which changes no member; once for each reason."""
        if reason == self._unresolved:
            return
        self._unresolved = reason
        logger.warning(
            "upstream %s: its endpoints cannot be resolved: %s",
            self._name,
            reason,
            extra=about("gateway.upstream.lookup_failed", gateway__upstream=self._name),
        )

    def connect(self) -> None:
        """Connects to all members, and keeps them connected."""
        for member in self._members.values():
            member.channel.keep_open()

    def report(self) -> list[EndpointReport]:
        """The members as they are now, and those that only finish their calls."""
        members = [(one, str(one.channel.state)) for one in self._members.values()]
        members += [(one, "draining") for one in self._draining.values()]
        return [
            EndpointReport(
                ", ".join(one.endpoint.addresses),
                state,
                one.endpoint.weight,
                one.in_flight,
                one.channel.failure,
                one.endpoint.zone,
                one.endpoint.priority,
            )
            for one, state in members
        ]

    async def close(self, grace_s: float) -> None:
        """Closes all channels; see `Channel.close`."""
        closing = [*self._members.values(), *self._draining.values()]
        for task in self._draining:
            task.cancel()
        self._members.clear()
        self._usable, self._picker_parts = [], ([], [], False)
        self._picker = self.only = None
        await asyncio.gather(*(one.channel.close(grace_s) for one in closing))

    def _add(self, endpoint: Endpoint, since_s: float, *, quietly: bool) -> None:
        try:
            channel = self._open(endpoint)
        except ValueError:
            logger.warning("upstream %s: %s is no address", self._name, endpoint)
            return
        member = Member(endpoint, channel, since_s)
        self._members[endpoint.addresses] = member
        channel.on_change(lambda: self._changed(member))
        if not quietly:
            self._say("gateway.upstream.endpoint_added", "has a new endpoint", endpoint)

    def _drain(self, member: Member) -> None:
        member.channel.on_change(_nothing)
        task = asyncio.get_running_loop().create_task(member.channel.close(self._drain_s))
        self._draining[task] = member
        task.add_done_callback(lambda done: self._draining.pop(done, None))
        self._say("gateway.upstream.endpoint_removed", "no longer has", member.endpoint)

    def _changed(self, member: Member) -> None:
        self._choose()
        if self.on_loss is not None and member.channel.state is not State.READY:
            self.on_loss()

    def _choose(self) -> None:
        members = list(self._members.values())
        self.only = members[0] if len(members) == 1 else None
        if not self._started:
            return
        if len(members) > 1:
            self.connect()
        now_s = self._clock()
        for one in members:
            one.age(now_s)
        levels, panics = self._levels(members)
        if panics is not self.panics:
            self.panics = panics
            say_panic(self._name, is_over=not panics)
        taking = [
            (share, one, one.endpoint.weight, one.since_s)
            for share, level in levels
            for one in level
        ]
        known = [] if self._zones is None else [one.endpoint for one in members]
        parts = (taking, known, panics)
        if parts != self._picker_parts:  # an equal answer must not begin the round again
            self._usable, self._picker_parts = [one for _, one, _, _ in taking], parts
            self._picker = self._picker_of(levels)
        if self._zones is not None and not any(one.channel.state in _UNSETTLED for one in members):
            self._say_zones(self._zones, levels)

    def _picker_of(self, levels: Sequence[_Level]) -> Picker | None:
        pickers = [(share, self._level_picker(level)) for share, level in levels]
        if len(pickers) > 1:
            return Levels(pickers, [len(level) for _, level in levels], self._random)
        return pickers[0][1] if pickers else None

    def _level_picker(self, level: list[Member]) -> Picker:
        """The picker of endpoints of one priority, or of all of them if none can be used."""
        # In a panic there are too few endpoints to choose by zone (Envoy, "Zone aware routing").
        if self._zones is None or self.panics:
            return self._policy(level)
        shares = self._zones.shares(self._level_of(level[0].endpoint.priority), level)
        return self._zones.picker(shares, level, self._policy)

    def _level_of(self, priority: int) -> list[Endpoint]:
        """All endpoints of a priority."""
        members = self._members.values()
        return [one.endpoint for one in members if one.endpoint.priority == priority]

    def _levels(self, members: Sequence[Member]) -> tuple[list[_Level], bool]:
        """The members that take calls, by their priorities; and True in a panic.

        While all levels together can take the calls, none panics (Envoy, "Panic threshold").
        """
        waits = self._waits_for_connecting
        groups: dict[int, list[Member]] = {}
        for one in members:
            groups.setdefault(one.endpoint.priority, []).append(one)
        percents = [_usable_percent(groups[priority]) for priority in sorted(groups)]
        found, total = shares(percents) if len(groups) > 1 else ([], 0)
        if not total:
            usable, panics = _usable(members, self._panic_percent, waits)
            return ([(100, usable)] if usable else []), panics
        panic_percent = self._panic_percent if total < 100 else 0
        levels: list[_Level] = []
        is_panic = False
        for share, priority in zip(found, sorted(groups), strict=True):
            if share:
                usable, panics = _usable(groups[priority], panic_percent, waits)
                levels.append((share, usable))
                is_panic = is_panic or panics
        self._say_shares(list(zip(sorted(groups), found, strict=True)))
        return levels, is_panic

    def _say_shares(self, found: list[tuple[int, int]]) -> None:
        if found == self._shares:
            return
        is_news = bool(self._shares) or found[0][1] < 100
        self._shares = found
        if is_news:
            logger.log(
                logging.INFO if found[0][1] == 100 else logging.WARNING,
                "upstream %s: calls now go to the endpoints of %s",
                self._name,
                ", ".join(f"priority {one}: {share} %" for one, share in found),
                extra=about("gateway.upstream.priorities", gateway__upstream=self._name),
            )

    def _say_zones(self, zones: Zones, levels: Sequence[_Level]) -> None:
        for _, level in levels:
            priority = level[0].endpoint.priority
            shares = {} if self.panics else zones.shares(self._level_of(priority), level)
            percent = round(100 * shares.get(zones.own, 0))
            if self._local_percents.get(priority) == percent:
                continue
            self._local_percents[priority] = percent
            stay = f"{percent} % of the calls stay in"
            logger.info(
                "upstream %s: %s zone %s, at priority %d",
                self._name,
                stay if shares else "calls go to all zones alike, not first to",
                zones.own,
                priority,
                extra=about("gateway.upstream.zone", gateway__upstream=self._name),
            )

    def _say(self, event: str, text: str, endpoint: Endpoint) -> None:
        extra = about(event, gateway__upstream=self._name, server__address=str(endpoint))
        logger.info("upstream %s %s: %s", self._name, text, endpoint, extra=extra)


def _usable_percent(members: Sequence[Member]) -> float:
    """The percentage that is connected or may be soon: calls wait for those (gRFC A56)."""
    able = (State.READY, State.IDLE, State.CONNECTING)
    return 100 * sum([one.channel.state in able for one in members]) / len(members)


def _usable(
    members: Sequence[Member],
    panic_percent: int,
    waits_for_connecting: bool,  # noqa: FBT001 - as the setting is kept
) -> tuple[list[Member], bool]:
    """The connected members; else those that may be soon; else those left out; else all.

    With `waits_for_connecting`, those that may be connected soon count as connected (gRFC A42).

    The second result is true in a panic: so many members are left out or cannot be reached that the
    others would be overloaded, so those left out take calls too (Envoy's panic threshold).
    """
    by_state: dict[State, list[Member]] = {}
    for one in members:
        by_state.setdefault(one.channel.state, []).append(one)
    ready = by_state.get(State.READY, [])
    hopeful = [*by_state.get(State.IDLE, []), *by_state.get(State.CONNECTING, [])]
    left_out = [*by_state.get(State.EJECTED, []), *by_state.get(State.UNHEALTHY, [])]
    if left_out and 100 * len(ready + hopeful) < panic_percent * len(members):
        able = {*ready, *left_out}
        return [one for one in members if one in able], True
    if waits_for_connecting and ready and hopeful:
        able = {*ready, *hopeful}
        return [one for one in members if one in able], False
    return ready or hopeful or left_out or list(members), False


def _nothing() -> None:
    """Ignores a change of a member that only finishes its calls."""
