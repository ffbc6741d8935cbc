"""The oracle: checks after every step, under any faults, that answers, log, books and money obey the laws.

It does not know what commands mean. It follows the log from its first commit with its own books and journal, remembers
the callers' answers, and asks the chain what it paid. The audit at the end checks the effect of each command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from chains.outbox import Outbox
from ledger.accounts import Account
from ledger.books import Books
from ledger.commands import Command, PayInvoice, Purchase, Subscribe
from ledger.engine import Ledger
from ledger.errors import Damaged, LogError, OutcomeUnknown
from ledger.events import (
    Charged,
    Escrow,
    EscrowFunding,
    Purchased,
    Recorded,
    Requested,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
)
from ledger.folding import fold, latest_snapshot, refold
from ledger.identity import key_use
from ledger.log import Commit, Entry, check_successor, decode_commit, origin
from ledger.movements import CREDITS, Journal
from ledger.outcomes import Answer
from ledger.plugins import contract_of

from ..audit.run import audit
from .disk import Disk
from .laws import DECLARED_ERRORS_ONLY, Violated, require
from .market import Market, payouts
from .process import Caller

BOOKS_ARE_THE_LOG = "books are the fold of the log"

PLACES = ("left", "held", "spent", "lapsed", "withdrawn")


class Oracle:
    """Follows a disk's log and a market's payments. All checks raise Violated."""

    def __init__(self, disk: Disk, market: Market) -> None:
        self._disk, self._market = disk, market
        self.books, self.journal = Books(), Journal()
        self.entries: list[Entry] = []
        self.charges: list[int] = []
        self.opened: dict[str, SettlementOpened] = {}
        self.confirmed: dict[int, str] = {}
        self.failed: dict[str, int] = {}
        self._followed: list[Commit] = []
        self._keys: dict[bytes, int] = {}
        self._accounts: dict[int, int] = {}
        self._escrows: dict[str, int] = {}
        self._numbers: dict[int, str] = {}

    # -- the log -------------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Check that the log has only grown, by commits whose hashes follow and whose movements balance."""
        commits, known = self._disk.commits, len(self._followed)
        kept = len(commits) >= known and (not known or commits[known - 1] is self._followed[-1])
        law = "what was in the log stays there"
        require(kept, law, f"there were {known} commits, and now there are other {len(commits)}")
        for commit in commits[known:]:
            before = self._followed[-1].head if self._followed else origin(self._disk.id)
            law, detail = "each commit follows the one before", f"commit {commit.first_seq} after {before.seq}"
            require(commit.at >= before.at, law, detail)
            try:
                check_successor(before, commit)
            except Damaged as error:
                raise Violated(law, detail) from error
            self._followed.append(commit)
            self._fold(commit)

    def _fold(self, commit: Commit) -> None:
        events = decode_commit(commit)
        touched: dict[int, None] = {}
        for seq, event in enumerate(events, commit.first_seq):
            entry = Entry(seq, commit.at, event)
            self.entries.append(entry)
            self._balances(entry, touched)
            self._is_new(entry)
            self._note(seq, event)
        fold(self.books, commit, events)
        for entry in self.entries[-len(events) :]:
            self._key_is_new(entry)  # in the books that have its account and its plan
        for number in touched:
            self._account(self.books.accounts[number])

    def _balances(self, entry: Entry, touched: dict[int, None]) -> None:
        sums: Counter[str] = Counter()
        for leg in self.journal.post(entry):
            sums[leg.unit] += leg.amount
            if leg.account:
                touched[leg.account] = None
        require(not any(sums.values()), "each event's movements sum to zero", f"{entry}: {dict(sums)}")

    def _is_new(self, entry: Entry) -> None:
        """A purchase on a chain is taken in once, unless it was reversed."""
        event = entry.event
        if isinstance(event, Purchased) and isinstance(event.funding, EscrowFunding):
            self._is_new_purchase(entry.seq, event.account, event.funding.escrow)

    def _key_is_new(self, entry: Entry) -> None:
        """A key is used once in its time."""
        event = entry.event
        if isinstance(event, Requested):
            self._accounts[entry.seq] = event.account
        if event.key is not None:
            number = self._accounts.get(getattr(event, "request", 0), 0)
            digest, (_, _, until) = key_use(self.books, entry, getattr(event, "account", number))
            again = entry.at < self._keys.get(digest, 0)
            require(not again, "a command with a key is done once", f"{event.key} again at {entry.seq}: {event}")
            self._keys[digest] = until

    def _is_new_purchase(self, seq: int, number: int, escrow: Escrow) -> None:
        lot = self._escrows.get(escrow.purchase)
        account = self.books.accounts.get(number)
        before = account.lots.get(lot) if account is not None and lot is not None else None
        once = before is None or before.reversed
        require(once, "a purchase on the chain is taken in once", f"{escrow.purchase} at {lot} and {seq}")
        self._escrows[escrow.purchase] = seq

    def _note(self, seq: int, event: Recorded) -> None:
        match event:
            case Charged():
                self.charges.append(seq)
            case SettlementOpened():
                self.opened[event.digest] = event
                self._numbers[event.number] = event.digest
            case SettlementConfirmed():
                self.confirmed[event.number] = self._numbers[event.number]
            case SettlementFailed():
                self.failed[self._numbers[event.number]] = event.number

    def _account(self, account: Account) -> None:
        """Check that an account's parts and invoices sum to its totals, by the books and by the movements."""
        terms, number = self.books.plans[account.plan].terms, account.number
        for lot in account.lots.values():
            places = {place: getattr(lot, place) for place in PLACES}
            law = "an account never spends what it does not have"
            require(min(places.values()) >= 0, law, f"lot {lot.id} of account {number}: {places}")
            if lot.started:
                require(sum(places.values()) == lot.credits, law, f"lot {lot.id} of {lot.credits}: {places}")
            else:
                places["withdrawn"] = 0  # what a reversal has taken leaves as the lot starts
            posted = {place: self._posted(number, lot.id, place) for place in PLACES}
            require(posted == places, "movements and books agree", f"lot {lot.id}: {posted} and {places}")
        sums = {
            "held": (account.held, sum(request.hold for request in account.requests.values())),
            "left": (account.left, sum(lot.left for lot in account.lots.values())),
            "debt": (account.debt, sum(debt.credits for debt in account.debts)),
        }
        wrong = {name: pair for name, pair in sums.items() if pair[0] != pair[1]}
        require(not wrong, "an account is the sum of its parts", f"account {number}: {wrong}")
        limit = terms.debt_limit if terms.overrun == "debt" else 0
        owes = account.debt <= limit or any(lot.reversal is not None for lot in account.lots.values())
        require(owes, "debt stays within its limit", f"account {number} owes {account.debt}, and may owe {limit}")
        law = "no account owes and has free credits at once"
        require(
            not account.debt or not account.left, law, f"account {number} owes {account.debt}, and has {account.left}"
        )
        if (billing := account.billing) is not None:
            paid = sum(lot.cost - lot.refunded for lot in account.lots.values() if lot.pays)
            found = (sum(one.money for one in billing.invoices.values()), paid, min(billing.credit, billing.owed))
            expected = (terms.cost * billing.billed // terms.credits, billing.paid, 0)
            require(found == expected, "what is invoiced is paid or owed", f"account {number}: {found} and {expected}")

    def _posted(self, account: int, lot: int, place: str) -> int:
        return self.journal.totals.get((CREDITS, "available" if place == "left" else place, account, lot, ""), 0)

    def instants(self) -> list[int]:
        """Return the next instant of each account at which something is due on it, in UTC microseconds."""
        return [account.next_due for account in self.books.accounts.values() if account.next_due is not None]

    def ends(self, seq: int) -> bool:
        """True if a commit ends with that sequence."""
        return any(commit.last_seq == seq for commit in self._followed)

    # -- answers to callers -------------------------------------------------------------------------------------------

    def answered(self, caller: Caller, written: Sequence[Commit]) -> None:
        """Check that the log has what was acknowledged, and not what was refused or failed.

        `written` are the commits of the caller's group.
        """
        if caller.error is not None:
            self._failed(caller.error, written)
            return
        answers = list(zip(caller.asked, caller.outcomes, strict=True))
        for command, outcome in answers:
            if isinstance(outcome, Answer):
                self._acknowledged(command, outcome)
            elif isinstance(outcome, Exception):
                self._failed(outcome, ())
        new = [outcome.seq for command, outcome in answers if isinstance(outcome, Answer) and _is_new(command, outcome)]
        for seq in new:
            inside = any(commit.first_seq <= seq <= commit.last_seq for commit in written)
            require(inside, "an answer is in the commit of its group", f"{seq} is not in what it wrote, {written}")
        require(len(new) == len(set(new)), "each command has its own event", f"{answers}")

    def refused(self, callers: Sequence[Caller], written: Sequence[Commit]) -> None:
        """Check that a group without an accepted command has written nothing."""
        outcomes = [outcome for caller in callers for outcome in caller.outcomes]
        accepted = any(isinstance(outcome, Answer) for outcome in outcomes)
        failed = any(caller.error is not None for caller in callers)
        require(
            accepted or failed or not written, "a refused command changes nothing", f"{outcomes}: it wrote {written}"
        )

    def _acknowledged(self, command: Command, answer: Answer) -> None:
        law = "what is acknowledged is in the log"
        require(answer.seq <= len(self.entries), law, f"{command} was answered with {answer}")
        if answer.event is None:
            return
        entry = self.entries[answer.seq - 1]
        same = (entry.seq, entry.at) == (answer.seq, answer.at) and entry.event == answer.event
        require(same, law, f"{command} was answered with {answer}, and there is {entry}")
        mine = command.key is None or _counts_once(command) or getattr(entry.event, "key", None) == command.key
        require(mine, "a key gives its first answer", f"{command} was answered with {entry}")

    def _failed(self, error: BaseException, written: Sequence[Commit]) -> None:
        if isinstance(error, Violated):  # by another process that acted within the group
            raise error
        require(isinstance(error, LogError | OutcomeUnknown), DECLARED_ERRORS_ONLY, repr(error))
        nothing = isinstance(error, OutcomeUnknown) or not written
        require(nothing, "a command that failed was not done", f"{error!r}, and its group wrote {written}")

    # -- books and money -----------------------------------------------------------------------------------------------

    def agrees(self, ledger: Ledger, process: str) -> None:
        """Check that an engine's books are those of the log."""
        require(ledger.state() == self.books.dump(), BOOKS_ARE_THE_LOG, f"those of {process} are not")

    def money(self) -> None:
        """Check that receivers have exactly what the log's executed batches pay, once each."""
        asset = self._market.harness.asset
        executed = self._market.executed(self.opened)
        law = "money moves exactly once"
        for number, digest in executed.items():
            require(digest in self.opened, law, f"the chain has a batch {number} that the log lacks: {digest}")
            again = digest in self.failed
            require(not again, law, f"batch {number} is paid, and failed in the log: the next one pays for it again")
        due, paid = payouts(self.opened, executed, asset), self._market.paid(asset)
        require(due == paid, law, f"batches {executed} pay {due}, and receivers have {paid}")
        missing = {number: digest for number, digest in self.confirmed.items() if executed.get(number) != digest}
        require(not missing, "what is confirmed has been paid", f"the chain does not have {missing}")

    # -- the end -------------------------------------------------------------------------------------------------------

    def is_clean(self, rejected: Collection[str]) -> None:
        """Check that the log folded anew gives the same books, and that the audit of log and chain finds nothing but
        the facts of these ids, which the ledger rejected."""
        again = refold(self._disk.commits)
        require(again.dump() == self.books.dump(), BOOKS_ARE_THE_LOG, "folded anew they are not")
        report = audit(self._disk.store(), chains=[self._market.chain])
        found = [
            f"{finding.kind} at {finding.seq}: {finding.message}"
            for finding in report.findings
            if finding.kind != "chain_purchase" or finding.found not in rejected
        ]
        require(not found, "the audit is clean", "; ".join(found[:3]))

    def is_kept(self) -> None:
        """Check that the snapshot that was just saved is the one that the next opening starts from."""
        found = latest_snapshot(self._disk.store())
        at = None if found is None else found[1].seq
        require(at == self.books.seq, "a snapshot that is whole is used", f"there is one at {at}, of {self.books.seq}")

    def all_is_settled(self, ledger: Ledger, outbox: Outbox) -> None:
        """Check that all that was earned in the contract has been paid, and that the log has it as paid."""
        chain = self._market.chain
        settling = ledger.settling(contract_of(chain))
        require(not settling.open, "all is settled in the end", f"{list(settling.open)} are open")
        again = outbox.open(self._market.harness.asset)
        require(again is None, "all is settled in the end", f"a batch {again} is opened after the last")
        self.follow()
        paid = {name: sum_ for name, sum_ in settling.settled.get(self._market.harness.asset, {}).items() if sum_}
        found = self._market.paid(self._market.harness.asset)
        require(paid == found, "money moves exactly once", f"the log has {paid} settled, receivers have {found}")


def _is_new(command: Command, answer: Answer) -> bool:
    """True if an answer is to this command alone: it has an event, and the command could not repeat an earlier one."""
    return answer.event is not None and command.key is None and not _counts_once(command)


def _counts_once(command: Command) -> bool:
    """True if a command subscribes or has a payment: its first answer may have had another key."""
    return isinstance(command, Subscribe) or (isinstance(command, Purchase | PayInvoice) and bool(command.payment))
