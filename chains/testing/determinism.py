"""Rules of a plugin's pure functions, which are called without a connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from msgspec.structs import replace

from ledger.events import Leaf, Payout
from ledger.plugins import contract_of
from ledger.settlement.messages import Batch

from .. import leaf_file
from ..leaves import account_key, keccak, leaf_hash
from ..merkle import Tree
from .steps import Rules, Subject, differ

_HASH = re.compile(r"0x[0-9a-f]{64}")

_NAMES = ("", " ", "0", "-1", "1.5", "alice", "0x", "0x12", "0x" + "1" * 40, "0x" + "g" * 40, "\ud800", "é", "1" * 90)
"""Names that some kinds of chains cannot have in a leaf."""


def _leaves(subject: Subject, count: int) -> tuple[Leaf, ...]:
    """Return `count` leaves of different accounts, up to four."""
    harness = subject.harness
    accounts = sorted((subscriber, plan) for subscriber in harness.subscribers[:2] for plan in harness.plans[:2])
    return tuple(Leaf(*account, 2**70 + position, position) for position, account in enumerate(accounts[:count]))


def _sample(subject: Subject, leaves: int = 3) -> Batch:
    harness = subject.harness
    return Batch(
        ledger="conformance",
        chain=harness.elsewhere.chain,
        contract=harness.elsewhere.contract,
        number=2,
        asset=harness.asset,
        at=1_700_000_000_000_000,
        covers={"main": 7},
        head_seq=7,
        head_hash="ab" * 32,
        previous="0x" + "cd" * 32,
        leaves=_leaves(subject, leaves),
        payouts=subject.payouts(900, -100),
    )


def _follows(subject: Subject) -> Iterator[str]:
    """The same batch has the same commitment, also if it was decoded from its leaf file."""
    batch, plugin = _sample(subject), subject.harness.plugin
    committed = plugin.commitment(batch)
    for part in ("root", "data_hash", "digest"):
        if not _HASH.fullmatch(getattr(committed, part)):
            yield f"the {part} is {getattr(committed, part)!r}, not 0x and 64 lower-case hex digits"
    yield from differ("the commitment of the same batch", plugin.commitment(_sample(subject)), committed)
    yield from differ(
        "the commitment of its leaf file", plugin.commitment(leaf_file.decode(leaf_file.encode(batch))), committed
    )


def _root(subject: Subject) -> Iterator[str]:
    for count in (1, 2, 3, 4):
        batch, types = _sample(subject, count), subject.harness.plugin.leaf_types
        root = Tree(leaf_hash(leaf, types) for leaf in batch.leaves).root
        yield from differ(
            f"the root of {count} leaves", subject.harness.plugin.commitment(batch).root, f"0x{root.hex()}"
        )


def _digest(subject: Subject) -> Iterator[str]:
    """A change of any single field changes the digest."""
    harness, batch = subject.harness, _sample(subject)
    own = subject.fresh()
    first, other = batch.payouts[0], batch.leaves[0]
    changes: dict[str, list[object]] = {
        "ledger": ["another"],
        "chain": [own.name],
        "contract": [own.contract],
        "number": [3, 258],
        "asset": [harness.elsewhere.asset],
        "at": [batch.at + 1_000_000, batch.at + 1],
        "covers": [{"main": 8}],
        "head_seq": [8],
        "head_hash": ["cd" * 32],
        "previous": ["", "0x" + "ce" * 32],
        "leaves": [
            batch.leaves[1:],
            (replace(other, charged=other.charged + 1), *batch.leaves[1:]),
            (replace(other, credited=other.credited + 1), *batch.leaves[1:]),
        ],
        "payouts": [
            (),
            batch.payouts[1:],
            (Payout(first.receiver, first.amount + 1), *batch.payouts[1:]),
            (Payout(first.receiver, -first.amount), *batch.payouts[1:]),
        ],
    }
    digest = harness.plugin.commitment(batch).digest
    for field in Batch.__struct_fields__:
        for value in changes[field]:
            if harness.plugin.commitment(replace(batch, **{field: value})).digest == digest:
                yield f"a batch with other {field} ({value!r}) has the same digest"


def _boundaries(subject: Subject) -> Iterator[str]:
    """Batches whose fields differ but concatenate to the same text have different digests. Names that this kind of
    chain cannot have are skipped."""
    batch, plugin = _sample(subject), subject.harness.plugin
    receiver, last = batch.payouts[0].receiver, batch.payouts[-1]
    more = f"{last.receiver}1"
    pairs: dict[str, tuple[dict[str, object], dict[str, object]]] = {
        "receiver and amount": (
            {"payouts": (Payout(receiver, 12),)},
            {"payouts": (Payout(f"{receiver}1", 2),)},
        ),
        "one payout and the next": (
            {"payouts": (Payout(last.receiver, 11), Payout(more, 2))},
            {"payouts": (Payout(last.receiver, 1), Payout(f"1{more}", 2))},
        ),
        "chain and contract": ({"chain": f"{batch.chain}1"}, {"contract": f"1{batch.contract}"}),
        "contract and number": (
            {"contract": f"{batch.contract}1", "number": 2},
            {"number": 12},
        ),
        "number and asset": ({"number": 21}, {"asset": f"1{batch.asset}"}),
        "asset and time": ({"asset": f"{batch.asset}1", "at": 700}, {"at": 1700}),
    }
    for fields, (first, second) in pairs.items():
        digests = []
        for changes in (first, second):
            payouts = changes.get("payouts", batch.payouts)
            assert isinstance(payouts, tuple)
            changed = replace(batch, **{**changes, "payouts": tuple(sorted(payouts, key=lambda one: one.receiver))})
            with suppress(ValueError):
                digests.append(plugin.commitment(changed).digest)
        if len(digests) == 2 and digests[0] == digests[1]:
            yield f"batches that differ in the boundary of {fields} ({first} and {second}) have the same digest"


def _data_hash(subject: Subject) -> Iterator[str]:
    batch = _sample(subject)
    for changed in (batch, replace(batch, payouts=()), replace(batch, at=batch.at + 1)):
        published = keccak(leaf_file.encode(changed))
        yield from differ("the data hash", subject.harness.plugin.commitment(changed).data_hash, f"0x{published.hex()}")


def _refuses(subject: Subject) -> Iterator[str]:
    batch = _sample(subject)
    first, second = batch.leaves[:2]
    wrong = {
        "no leaves": (),
        "leaves that are not sorted": (second, first),
        "two leaves of one account": (first, first),
        "a counter beyond 256 bits": (replace(first, charged=2**256), second),
    }
    for name, leaves in wrong.items():
        try:
            subject.harness.plugin.commitment(replace(batch, leaves=leaves))
            yield f"a batch with {name} is committed to"
        except ValueError:
            pass


def _check(subject: Subject) -> Iterator[str]:
    """Names that `check` accepts can be in a leaf, and it accepts the harness's names."""
    harness, plugin = subject.harness, subject.harness.plugin
    for subscriber in harness.subscribers:
        for plan in harness.plans:
            plugin.check(subscriber, plan)
    cases = [(name, harness.plans[0]) for name in _NAMES] + [(harness.subscribers[0], name) for name in _NAMES]
    for subscriber, plan in cases:
        try:
            plugin.check(subscriber, plan)
        except ValueError:
            continue
        try:
            account_key(subscriber, plan, plugin.leaf_types)
            plugin.commitment(replace(_sample(subject), leaves=(Leaf(subscriber, plan, 1, 0),)))
        except ValueError as error:
            yield f"check accepts {subscriber!r} on {plan!r}, and no leaf can name it: {error}"


def _check_money(subject: Subject) -> Iterator[str]:
    """Money that `check_money` accepts can be charged, and paid by one batch or several; it accepts the harness's
    names."""
    harness, plugin, chain = subject.harness, subject.harness.plugin, subject.fresh()
    contract, receiver = contract_of(chain), harness.receivers[0]
    plugin.check_money(contract, harness.asset, dict.fromkeys(harness.receivers, 1))
    cases = [(harness.asset, name, 1) for name in _NAMES]
    cases += [(name, receiver, 1) for name in _NAMES]
    cases += [(harness.asset, receiver, 2**bits + less) for bits in (95, 96, 128, 192, 255, 256) for less in (-1, 0)]
    batch = replace(_sample(subject), chain=chain.name, contract=chain.contract)
    for asset, paid, amount in cases:
        try:
            plugin.check_money(contract, asset, {paid: amount})
        except ValueError:
            continue
        leaf = replace(batch.leaves[0], charged=amount, credited=0)
        try:
            fits = amount if plugin.max_payout is None else min(amount, plugin.max_payout)
            plugin.commitment(replace(batch, asset=asset, leaves=(leaf,), payouts=(Payout(paid, fits),)))
        except ValueError as error:
            yield f"check_money accepts {amount} {asset!r} for {paid!r}, and no batch can pay it: {error}"


def _max_payout(subject: Subject) -> Iterator[str]:
    """A batch that pays a receiver `max_payout`, or takes it back, can be committed to."""
    plugin = subject.harness.plugin
    limit = plugin.max_payout
    if limit is not None and (type(limit) is not int or limit < 1):
        yield f"`max_payout` is {limit!r}, neither None nor a whole number of 1 or more"
        return
    for amount in (10**100, -(10**100)) if limit is None else (limit, -limit):
        try:
            plugin.commitment(replace(_sample(subject), payouts=subject.payouts(amount)))
        except ValueError as error:
            yield f"a payout of {amount} cannot be committed to, though `max_payout` is {limit}: {error}"


RULES: Rules = {
    "a commitment follows from its batch": _follows,
    "a root is OpenZeppelin's": _root,
    "a digest covers every field": _digest,
    "a digest keeps fields apart": _boundaries,
    "a data hash is the leaf file's": _data_hash,
    "a commitment refuses bad leaves": _refuses,
    "check refuses what no leaf can name": _check,
    "check_money refuses what no batch can pay": _check_money,
    "a batch can pay the most that is said": _max_payout,
}
