"""Laws that hold for every log, whatever a model says: read from the events alone, one after another."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from whole_accounts import SECOND

from ledger.events import (
    Adjusted,
    Charged,
    Event,
    PlanCreated,
    Purchased,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
)


@dataclass
class Open:
    """An open request: what it may use, has used, and holds."""

    estimate: Mapping[str, int]
    used: dict[str, int]
    hold: int


@dataclass
class Seen:
    """What the log has said of an account."""

    plan: PlanCreated
    open: dict[int, Open] = field(default_factory=dict)
    counted: list[tuple[int, int, int]] = field(default_factory=list)
    """Credits by when they were charged or corrected, and when what was corrected had been charged."""
    charged_at: dict[int, int] = field(default_factory=dict)
    is_covered: bool = True
    """Whether open requests have only what they hold, and nothing else has come between: direct and late charges, more
    usage than was estimated, corrections upwards, reversals, debt. A plan of time alone holds nothing."""


class Witness:
    """Reads a log, event by event, and says where a law does not hold."""

    def __init__(self) -> None:
        self.plans: dict[str, PlanCreated] = {}
        self.accounts: dict[int, Seen] = {}
        self.whose: dict[int, int] = {}

    def see(self, seq: int, at: int, event: Event) -> None:
        match event:
            case PlanCreated():
                self.plans[event.plan] = event
            case Purchased():
                self.accounts.setdefault(event.account, Seen(self.plans[event.plan]))
            case Requested():
                self.admitted(seq, at, event, self.accounts[event.account])
            case Reheld():
                self.accounts[event.account].open[event.request].hold = sum(credits for _, credits in event.draws)
            case Released():
                del self.accounts[self.whose[event.request]].open[event.request]
            case Charged():
                self.charged(seq, at, event, self.accounts[event.account])
            case Adjusted():
                self.adjusted(at, event, self.accounts[event.account])
            case Reversed() | Reinstated():
                self.accounts[event.account].is_covered = False

    def admitted(self, seq: int, at: int, event: Requested, seen: Seen) -> None:
        seen.is_covered = seen.plan.grants_credits and (seen.is_covered or not seen.open)
        seen.open[seq], self.whose[seq] = Open(event.estimate, {}, event.hold), event.account
        if (limit := seen.plan.limits.credits) is not None:
            used = self.used_in_window(seen, limit.seconds * SECOND, at)
            held = sum(request.hold for request in seen.open.values())
            assert used + held <= limit.credits, f"{seq}: {used} are charged and {held} held, and the limit is {limit}"

    def used_in_window(self, seen: Seen, width: int, at: int) -> int:
        used = 0
        for written, of, credits in seen.counted:
            if written // width == of // width == at // width:
                used = max(0, used + credits)
        return used

    def charged(self, seq: int, at: int, event: Charged, seen: Seen) -> None:
        seen.charged_at[seq] = at
        seen.counted.append((at, at, event.credits))
        request = seen.open.get(event.request)
        if request is None or any(lot == 0 for lot, _ in event.draws):
            seen.is_covered = False
        if request is not None:
            for name, units in event.usage.items():
                request.used[name] = request.used.get(name, 0) + units
            if any(units > request.estimate.get(name, 0) for name, units in request.used.items()):
                seen.is_covered = False
            request.hold = max(0, request.hold - event.credits)
            if event.final:
                del seen.open[event.request]
        assert not (seen.is_covered and event.shortfall), (
            f"{seq}: within all estimates, {event.shortfall} are not there"
        )

    def adjusted(self, at: int, event: Adjusted, seen: Seen) -> None:
        seen.counted.append((at, seen.charged_at[event.charge] if event.charge else at, event.credits))
        if event.credits > 0 or event.shortfall > 0 or any(units > 0 for units in event.usage.values()):
            seen.is_covered = False
