"""The audit of a log against its chain: nothing is found where both agree, and every difference on either side where it
was planted, whatever the chain does while it is read."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from every_way import audit, in_this_process
from msgspec.structs import replace
from settled_shop import SettledShop, changed, copied, tell
from unguarded import open_wide

import replay
from chains import Outbox, Watcher
from chains.mock import MockChain, NodeDown, NoFinality
from ledger import Escrow, EscrowFunding, Ledger, Purchase, Reverse
from ledger.errors import ChainUnavailable
from ledger.events import (
    Event,
    Frozen,
    Payout,
    Purchased,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    Share,
    Withdrawn,
)
from ledger.plugins import contract_of
from ledger.settlement.messages import Found
from replay import Finding, Report
from replay.audit import onchain
from replay.audit.file_rows import FileRows

BATCH, PURCHASE, PAYOUT, ESCROW = onchain.KINDS


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    tell(folder)
    return folder


@pytest.fixture
def shop(told: Path, tmp_path: Path) -> Iterator[SettledShop]:
    with copied(told, tmp_path) as shop:
        yield shop


def on_chain(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.kind in onchain.KINDS]


def found(report: Report) -> list[tuple[str, str]]:
    return [(finding.kind, finding.field) for finding in on_chain(report)]


def differences(shop: SettledShop, chain: Any = None) -> list[tuple[str, str]]:
    return found(replay.audit(shop.log, chains=[chain or shop.chain]))


# -- both agree --------------------------------------------------------------------------------------------------------


def test_a_log_and_its_chain_agree_in_whatever_way_they_are_audited(shop: SettledShop) -> None:
    report = audit(shop.log, chains=[shop.chain])
    assert report.findings == ()
    with in_this_process():
        assert replay.audit(shop.log, chains=[shop.chain], processes=2) == report
    checked = {check.name: check.checked for check in report.checks}
    # 9 numbers; 4 final purchases, a request and an exit; acme in two assets and the fee in one; two assets
    assert [checked[kind] for kind in onchain.KINDS] == [9, 6, 3, 2]


def test_without_a_chain_the_report_is_as_it_ever_was(shop: SettledShop) -> None:
    alone, beside = replay.audit(shop.log), replay.audit(shop.log, chains=[shop.chain])
    assert not {check.name for check in alone.checks} & set(onchain.KINDS)
    checks = [check for check in beside.checks if check.name not in onchain.KINDS]
    assert "--chain NAME" in alone.unseen[-1]
    beside = replace(beside, checks=tuple(checks), unseen=alone.unseen)
    assert msgspec.json.encode(beside) == msgspec.json.encode(alone)


def test_an_audit_writes_nothing_to_the_chain(shop: SettledShop) -> None:
    height, pool = shop.chain.height, shop.chain.pool
    audit(shop.log, chains=[shop.chain])
    assert (shop.chain.height, shop.chain.pool) == (height, pool)


def test_it_agrees_at_every_step_of_the_way(told: Path, tmp_path: Path) -> None:
    """From a batch on its way to its end, block by block, and then through another."""
    with copied(told, tmp_path) as shop:
        for _ in range(2):
            while shop.ledger.batches(contract_of(shop.chain)):
                shop.outbox.step()
                assert differences(shop) == []
                shop.chain.mine()
                assert shop.watcher.sync() == []
                assert differences(shop) == []
            shop.use(3)
            shop.outbox.open("USD")
            assert differences(shop) == []
        assert shop.chain.find(9).stage == "executed"


def test_a_claim_changes_nothing(shop: SettledShop) -> None:
    shop.chain.claim("fee", "USD")
    shop.chain.claim("acme", "EUR")
    shop.chain.mine(3)
    assert differences(shop) == []


def test_a_purchase_is_looked_for_once_it_is_final(shop: SettledShop) -> None:
    (id,) = shop.buys("grace")
    shop.chain.mine()
    assert differences(shop) == []
    shop.chain.mine()
    late = on_chain(replay.audit(shop.log, chains=[shop.chain]))
    assert [(each.kind, each.found, "`tollbook settle` imports it" in each.message) for each in late][-1:] == [
        (PURCHASE, id, True)
    ]
    shop.sync(2)
    assert differences(shop) == []


def test_a_restored_backup_lacks_batches_until_it_has_adopted_them(shop: SettledShop, tmp_path: Path) -> None:
    (backup := tmp_path / "backup.db").write_bytes(shop.log.read_bytes())
    shop.settle("USD")
    shop.use(7)
    shop.settle("USD")
    with Ledger.open(backup, clock=lambda: shop.now) as restored:
        box = Outbox(restored, shop.chain)
        box.carry(range(10))
        lost = [(BATCH, "number"), (PAYOUT, "amount"), (PAYOUT, "amount")]
        assert found(replay.audit(backup, chains=[shop.chain])) == lost
        assert box.adopt() == [10]
        assert found(audit(backup, chains=[shop.chain])) == []
        box.carry(range(10))
        Watcher(restored, shop.chain).sync()
        assert found(audit(backup, chains=[shop.chain])) == []


# -- differences in the log --------------------------------------------------------------------------------------------

Change = Callable[[Any], Event]
X = "0x" + "11" * 32


def saying(**fields: Any) -> Change:
    return lambda event: replace(event, **fields)


def funded(**escrow: Any) -> Change:
    return lambda event: replace(event, funding=EscrowFunding(replace(event.funding.escrow, **escrow)))


def stated(**fact: Any) -> Change:
    return lambda event: replace(event, fact=replace(event.fact, **fact))


def dearer(event: Purchased) -> Event:
    first, *rest = event.shares
    return replace(event, cost=event.cost + 1, shares=(Share(first.receiver, first.amount + 1), *rest))


def more(event: SettlementOpened) -> Event:
    first, *rest = event.payouts
    return replace(event, payouts=(Payout(first.receiver, first.amount + 1), *rest))


def fails(event: SettlementConfirmed) -> Event:
    place = {"number": event.number, "chain": event.chain, "contract": event.contract}
    return SettlementFailed(**place, reason="planted", used=True)


def renamed(event: SettlementOpened) -> Event:
    return replace(event, payouts=tuple(replace(each, receiver=f"not {each.receiver}") for each in event.payouts[:1]))


LOG_SIDE: list[tuple[str, type[Event], Change, list[tuple[str, str]]]] = [
    ("a purchase's amount", Purchased, dearer, [(PURCHASE, "shares")]),
    ("a purchase's credits", Purchased, saying(credits=101), [(PURCHASE, "credits")]),
    ("a purchase's window", Purchased, saying(seconds=60, expiry=2**50), [(PURCHASE, "seconds")]),
    ("a purchase's asset", Purchased, saying(asset="EUR"), [(PURCHASE, "asset")]),
    ("who bought", Purchased, saying(subscriber="mallory"), [(PURCHASE, "subscriber")]),
    ("what was bought", Purchased, saying(plan="hours"), [(PURCHASE, "plan")]),
    ("a purchase's id", Purchased, funded(purchase="x"), [(PURCHASE, "purchase"), (PURCHASE, "purchase")]),
    ("a request to leave", Frozen, stated(id="x"), [(PURCHASE, "exit_requested"), (PURCHASE, "exit_requested")]),
    ("an exit", Withdrawn, stated(id="x"), [(PURCHASE, "exit_paid"), (PURCHASE, "exit_paid")]),
    ("an exit's amount", Withdrawn, saying(paid=7), [(PURCHASE, "exit_paid.amount")]),
    ("an exit's asset", Withdrawn, saying(asset="EUR"), [(PURCHASE, "exit_paid.asset")]),
    ("who asked to leave", Frozen, saying(account=2), [(PURCHASE, "exit_requested.subscriber")]),
    ("who left", Withdrawn, saying(account=2), [(PURCHASE, "exit_paid.subscriber")]),
    ("a payout", SettlementOpened, more, [(PAYOUT, "amount")]),
    ("a payout's receiver", SettlementOpened, renamed, [(PAYOUT, "amount"), (PAYOUT, "amount")]),
    ("a batch's asset", SettlementOpened, saying(asset="USD"), [(PAYOUT, "amount"), (PAYOUT, "amount")]),
    ("a root", SettlementOpened, saying(root=X), [(BATCH, "root")]),
    ("a digest", SettlementOpened, saying(digest=X), [(BATCH, "digest")]),
    ("a number", SettlementOpened, saying(number=77), [(BATCH, "number"), (PAYOUT, "amount")]),
    ("a confirmed batch", SettlementConfirmed, fails, [(BATCH, "stage")]),
    ("a cancelled batch", SettlementFailed, saying(used=False), [(BATCH, "stage")]),
]


@pytest.mark.parametrize(
    ("kind", "change", "expected"), [row[1:] for row in LOG_SIDE], ids=[row[0] for row in LOG_SIDE]
)
def test_a_difference_in_the_log_is_found(
    kind: type[Event], change: Change, expected: list[tuple[str, str]], shop: SettledShop
) -> None:
    """In the first event of its kind that is about a batch or fact that is final."""
    seen: list[int] = []

    def once(seq: int, event: Event) -> Event | None:
        if type(event) is kind and not seen:
            seen.append(seq)
            return change(event)
        return None

    report = audit(changed(shop.log, once), chains=[shop.chain])
    assert found(report) == expected
    assert report.verdict == "findings"
    told = [each.seq for each in on_chain(report) if each.seq is not None]
    assert set(told) <= {seen[0]} or kind in (SettlementConfirmed, SettlementFailed)
    assert all(each.expected != each.found for each in on_chain(report))


def test_a_payout_that_differs_says_whose_it_is_and_by_how_much(shop: SettledShop) -> None:
    log = changed(
        shop.log, lambda seq, event: more(event) if getattr(event, "number", 0) == 5 and is_open(event) else None
    )
    (finding,) = on_chain(replay.audit(log, chains=[shop.chain]))
    assert finding.expected["receiver"] == finding.found["receiver"] == "acme"
    assert finding.expected["asset"] == finding.found["asset"] == "USD"
    assert finding.expected["amount"] == finding.found["amount"] + 1
    assert finding.found["due"] + finding.found["claimed"] == finding.found["amount"]


def is_open(event: Event) -> bool:
    return isinstance(event, SettlementOpened)


def test_a_purchase_that_was_made_up_is_found(shop: SettledShop) -> None:
    funding = EscrowFunding(Escrow(shop.chain.name, shop.chain.contract, "made up"))
    seq = shop.do(Purchase(subscriber="mallory", plan="pro", funding=funding))
    (finding,) = on_chain(audit(shop.log, chains=[shop.chain]))
    assert (finding.kind, finding.seq, finding.expected, finding.found) == (PURCHASE, seq, "made up", None)


def test_a_purchase_that_was_reversed_and_that_the_chain_has_is_found(shop: SettledShop) -> None:
    lot = shop.ledger.escrowed(contract_of(shop.chain))[0]
    shop.do(Reverse(subscriber=lot.subscriber, plan=lot.plan, lot=lot.id))
    (finding,) = on_chain(audit(shop.log, chains=[shop.chain]))
    assert (finding.kind, finding.seq, finding.expected, finding.found) == (PURCHASE, None, None, lot.escrow.purchase)


def test_a_purchase_that_was_granted_early_and_is_gone_is_found_once_its_block_is_final(shop: SettledShop) -> None:
    shop.chain.reorganise(1)  # the batch on its way
    assert differences(shop) == []
    early = next(lot for lot in shop.ledger.escrowed(contract_of(shop.chain)) if lot.escrow.block)
    shop.chain.reorganise(2)
    assert differences(shop) == []
    shop.chain.mine(3)
    (finding,) = on_chain(audit(shop.log, chains=[shop.chain]))
    assert (finding.kind, finding.seq, finding.found) == (PURCHASE, early.id, None)
    assert "`tollbook settle` reverses it" in finding.message


# -- differences on the chain ------------------------------------------------------------------------------------------


def test_an_exit_that_the_log_has_not_heard_of_is_found(shop: SettledShop) -> None:
    shop.chain.request_exit("bob", "7")
    shop.chain.mine(3)
    assert (PURCHASE, "exit_requested") in differences(shop)
    shop.sync(0)
    assert differences(shop) == []


@pytest.mark.parametrize(
    ("receiver", "kind"), [("acme", PAYOUT), ("mallory", ESCROW)], ids=["of a receiver", "of a stranger"]
)
def test_a_batch_that_the_log_lacks_is_found_and_so_is_its_money(receiver: str, kind: str, shop: SettledShop) -> None:
    shop.settle("USD")
    shop.payout(10, Payout(receiver, 7))
    report = audit(shop.log, chains=[shop.chain])
    number, money = on_chain(report)
    assert (number.kind, number.field, number.expected, number.found) == (BATCH, "number", None, 10)
    assert money.kind == kind
    assert abs(money.expected["amount"] - money.found["amount"]) == 7


def test_escrow_that_is_less_than_what_is_unspent_is_found(shop: SettledShop) -> None:
    """A batch that nobody opened here pays more than was ever earned: those who leave last would get nothing."""
    shop.settle("USD")
    earned = sum(each.earned for each in shop.ledger.earned() if each.asset == "USD")
    before = replay.audit(shop.log, chains=[shop.chain])
    assert before.clean
    shop.payout(10, Payout("mallory", earned))
    report = audit(shop.log, chains=[shop.chain])
    (finding,) = [each for each in report.findings if each.kind == "solvency"]
    assert (finding.seq, finding.field) == (None, "escrow")
    assert finding.found["amount"] < finding.expected["amount"]
    counted = {check.name: check.findings for check in report.checks}
    assert counted["solvency"] == 1


def test_a_batch_on_its_way_that_the_log_lacks_is_no_difference_yet(shop: SettledShop) -> None:
    shop.settle("USD")
    attempt = shop.chain.prepare(shop.unknown_batch(10, Payout("acme", 7)), [])
    assert attempt is not None
    shop.chain.send(attempt)
    assert (shop.chain.find(10).stage, differences(shop)) == ("committed", [])
    shop.chain.mine(2)
    assert differences(shop) == [(BATCH, "number")]


def test_another_batch_under_our_number_is_found(shop: SettledShop) -> None:
    """Two senders with one key: the chain has taken the other's batch."""
    shop.settle("USD")
    shop.use(2)
    shop.outbox.open("USD")
    attempt = shop.chain.prepare(shop.unknown_batch(10), [])
    assert attempt is not None
    shop.chain.send(attempt)
    assert (shop.chain.find(10).stage, differences(shop)) == ("committed", [])  # a reorganisation may undo it
    shop.chain.mine(2)
    digest, root = on_chain(audit(shop.log, chains=[shop.chain]))[:2]
    assert (digest.field, root.field) == ("digest", "root")
    assert digest.found == shop.chain.find(10).digest
    opened = shop.ledger.batches(contract_of(shop.chain))[0]
    assert (digest.seq, digest.expected, root.expected) == (opened.seq, opened.digest, opened.root)


def test_a_batch_that_the_log_gave_up_and_the_chain_executed_is_found(shop: SettledShop) -> None:
    shop.settle("USD")
    shop.use(2)
    shop.settle("USD")
    planted = changed(
        shop.log,
        lambda seq, event: (
            replace(fails(event), used=False) if isinstance(event, SettlementConfirmed) and event.number == 10 else None
        ),
    )
    (finding,) = on_chain(audit(planted, chains=[shop.chain]))
    assert (finding.kind, finding.field, finding.expected, finding.found) == (BATCH, "stage", "absent", "executed")


class Says(MockChain):
    """A chain whose money or batches are not what its transactions made them."""

    more_due = more_claimed = more_escrow = more_holdings = 0
    other: ClassVar[dict[str, Any]] = {}

    def due(self, receiver: str, asset: str) -> int:
        return super().due(receiver, asset) + (self.more_due if (receiver, asset) == ("acme", "USD") else 0)

    def claimed(self, receiver: str, asset: str) -> int:
        return super().claimed(receiver, asset) + (self.more_claimed if (receiver, asset) == ("acme", "USD") else 0)

    def escrow(self, asset: str) -> int:
        return super().escrow(asset) + (self.more_escrow if asset == "USD" else 0)

    def holdings(self, asset: str) -> int:
        return super().holdings(asset) + (self.more_holdings if asset == "USD" else 0)

    def find(self, number: int) -> Found:
        found = super().find(number)
        return replace(found, **self.other) if number == 5 else found


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, []),
        ({"more_escrow": -5}, [(ESCROW, "escrow")]),
        ({"more_escrow": 5}, [(ESCROW, "escrow")]),
        ({"more_holdings": -1}, [(ESCROW, "holdings")]),
        ({"more_holdings": 7}, []),  # what is sent there unasked
        ({"more_claimed": 5, "more_escrow": -5}, [(PAYOUT, "amount")]),
        ({"more_due": -5, "more_claimed": 5}, []),  # a claim does just that
        ({"more_due": -5}, [(PAYOUT, "amount"), (ESCROW, "escrow")]),
        ({"more_due": -5, "more_escrow": 5}, [(PAYOUT, "amount")]),
        ({"more_due": -5000, "more_claimed": 5000}, [(ESCROW, "escrow")]),
        ({"other": {"digest": X}}, [(BATCH, "digest")]),
        ({"other": {"root": X}}, [(BATCH, "root")]),
        ({"other": {"root": ""}}, []),
        ({"other": {"stage": "cancelled"}}, [(BATCH, "stage"), (PAYOUT, "amount"), (PAYOUT, "amount")]),
        ({"other": {"stage": "absent"}}, [(BATCH, "stage"), (PAYOUT, "amount"), (PAYOUT, "amount")]),
    ],
    ids=str,
)
def test_a_difference_on_the_chain_is_found(
    said: dict[str, Any], expected: list[tuple[str, str]], shop: SettledShop
) -> None:
    """What one place has too much and another too little is found where the log's payouts, or the whole, do not fit."""
    shop.chain.close()
    chain = Says(shop.mock)
    for name, value in said.items():
        setattr(chain, name, value)
    assert found(audit(shop.log, chains=[chain])) == expected
    chain.close()


# -- while it is read --------------------------------------------------------------------------------------------------


class Moving:
    """A chain on which something happens before the calls whose number, from 1, is `due`: of all calls, or of those
    called so."""

    def __init__(
        self, chain: MockChain, happens: Callable[[], object], due: Callable[[int], bool], called: str = ""
    ) -> None:
        self._chain, self._happens, self._due, self._called = chain, happens, due, called
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._chain, name)
        if not callable(method):
            return method

        def asked(*arguments: Any) -> Any:
            counts = self._called in ("", name)
            self.calls += counts
            if counts and self._due(self.calls):
                self._happens()
            return method(*arguments)

        return asked


def never(call: int) -> bool:
    return False


def reading(
    shop: SettledShop,
    happens: Callable[[SettledShop], object] = lambda shop: None,
    due: Callable[[int], bool] = never,
    called: str = "",
) -> tuple[list[Finding], int]:
    """What the chain's part of an audit finds, and how often it asks."""
    chain: Any = Moving(shop.chain, lambda: happens(shop), due, called)
    nothing = replace(replay.audit(shop.log), checks=())
    return on_chain(onchain.compared(nothing, shop.log, [chain])), chain.calls


def mined(shop: SettledShop) -> None:
    shop.buys("grace")


def replaced(shop: SettledShop) -> None:
    shop.chain.reorganise(2)


def claims(shop: SettledShop) -> None:
    shop.chain.claim("acme", "EUR")


def goes_on(shop: SettledShop) -> None:
    """Another process settles: a purchase is taken in, a batch is executed, another opened and paid out."""
    shop.buys("grace")
    shop.sync(2)
    shop.use(1)
    shop.settle("USD")
    shop.use(2)
    shop.settle()
    shop.chain.claim("fee", "USD")


@pytest.mark.parametrize("happens", [mined, replaced, claims, goes_on], ids=lambda happens: happens.__name__)
def test_what_happens_while_it_is_read_is_no_difference(
    happens: Callable[[SettledShop], None], told: Path, tmp_path: Path
) -> None:
    """Before any one of its questions."""
    (tmp_path / "still").mkdir()
    with copied(told, tmp_path / "still") as shop:
        nothing, calls = reading(shop)
    assert nothing == []
    assert calls > 20
    for call in range(1, calls + 1):
        (folder := tmp_path / str(call)).mkdir()
        with copied(told, folder) as shop:
            assert reading(shop, happens, call.__eq__)[0] == [], call


BUSY = [lambda call, often=often: call % often == 0 for often in range(6, 12)]


@pytest.mark.parametrize("busy", BUSY, ids=range(6, 12))
@pytest.mark.parametrize("missing", [0, 5])
def test_a_busy_chain_has_the_differences_that_it_has_and_no_other(
    missing: int, busy: Callable[[int], bool], shop: SettledShop
) -> None:
    """Somebody buys for the same amount all the time, and what is missing from escrow stays so much."""
    shop.chain.close()
    with Says(shop.mock) as shop.chain:
        shop.chain.more_escrow = -missing
        found, _ = reading(shop, mined, busy)
        money = [each for each in found if each.kind != PURCHASE]  # what was bought first may be final by now
        amounts = [(each.kind, each.expected["amount"] - each.found["amount"]) for each in money]
        assert amounts == ([(ESCROW, 5)] if missing else [])


def test_batches_that_end_while_it_is_read_are_no_difference_though_they_pay_the_same(shop: SettledShop) -> None:
    """Each between the batches and the first of the three balances."""
    shop.settle()

    def ends(shop: SettledShop) -> None:
        shop.use(1)
        shop.settle("USD")

    found, dues = reading(shop, ends, (1, 4).__contains__, "due")
    assert (found, dues) == ([], 9)


def test_a_chain_that_never_stands_still_is_not_judged(shop: SettledShop) -> None:
    with pytest.raises(ChainUnavailable, match="tollbook on mock:local moved whenever it was read"):
        reading(shop, mined, lambda call: True)


def test_a_chain_that_cannot_be_asked_is_an_error(shop: SettledShop) -> None:
    shop.chain.script(NodeDown(skip=10))
    with pytest.raises(ChainUnavailable, match="the node is down"):
        replay.audit(shop.log, chains=[shop.chain])


@pytest.mark.parametrize(("skip", "calls"), [(0, 1000), *((skip, 1) for skip in range(12))])
def test_a_chain_that_cannot_say_what_is_final_contradicts_nothing(skip: int, calls: int, shop: SettledShop) -> None:
    shop.chain.script(NoFinality(calls=calls, skip=skip))
    assert differences(shop) == []


# -- logs that are damaged ---------------------------------------------------------------------------------------------


def test_a_log_that_cannot_be_read_to_its_end_is_not_compared(shop: SettledShop) -> None:
    shop.ledger.close()
    with closing(open_wide(shop.log)) as file:
        second = "(SELECT first_seq FROM commits LIMIT 1 OFFSET 1)"
        assert file.execute(f"UPDATE commits SET body = substr(body, 2) WHERE first_seq = {second}").rowcount == 1
    report = replay.audit(shop.log, chains=[shop.chain])
    assert {finding.kind for finding in report.findings} >= {"schema", "hash"}
    assert on_chain(report) == []
    assert [check.checked for check in report.checks if check.name in onchain.KINDS] == [0, 0, 0, 0]


def test_an_event_whose_tag_is_escaped_is_read_as_well(shop: SettledShop) -> None:
    """JSON has many spellings, and a log may be made to hide a purchase behind one."""
    file = FileRows(shop.log)
    side = onchain.LogSide()
    for row in file.rows():
        assert row.body is not None
        assert side.follow(replace(row, body=row.body.replace(b'"purchased"', b'"p\\u0075rchased"')))
    file.close()
    assert len(side.contract(contract_of(shop.chain)).purchases) == 5


def test_a_number_beyond_all_bounds_is_asked_for_once(shop: SettledShop) -> None:
    """A log may name any number; the chain is not asked for all those below."""
    log = changed(
        shop.log, lambda seq, event: replace(event, number=10**15) if is_open(event) and event.number == 9 else None
    )  # type: ignore[attr-defined]
    chain: Any = Moving(shop.chain, lambda: None, never)
    replay.audit(log, chains=[chain])
    assert chain.calls < 200
