"""Settlement at the end of a log: books and movements of batches and escrow, against the auditor's own sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ledger import ContractRef
from ledger.reducers import unpaid_name
from ledger.settlement.state import Settling

from .case import Case
from .conservation import Counted
from .settled import OwnAsset, OwnContract


def unpaid(case: Case) -> None:
    """Check, for each account, the money that left its lots and is still in escrow. `end` counts these checks."""
    own: dict[int, dict[str, int]] = {}
    for (number, escrow), amount in case.settled.unpaid.items():
        own.setdefault(number, {})[unpaid_name(escrow)] = amount
    for account in case.accounts():
        number = account.number
        if (expected := own.get(number, {})) != account.unpaid:
            message = f"account {number} has money in escrow that differs from what left its lots"
            case.findings.add("books", None, "unpaid", expected, account.unpaid, message)


def end(case: Case, counted: Counted, settlings: Mapping[ContractRef, Settling]) -> None:
    """Compare the books and the movements of all accounts with the auditor's own sums."""
    if not counted.escrow:
        return
    case.findings.checked["books"] += counted.accounts
    for contract_ref in sorted({*case.settled.contracts, *settlings}):
        _contract(case, settlings.get(contract_ref) or Settling(contract_ref=contract_ref))
    _money(case, counted)


def _contract(case: Case, books: Settling) -> None:
    """One contract's batches, counters and payouts."""
    contract_ref = books.contract_ref
    own = case.settled.contracts.get(contract_ref) or OwnContract()
    assets = {escrow.asset: sums for escrow, sums in case.settled.assets.items() if escrow.contract_ref == contract_ref}
    open_ = {number: (each.asset, each.state, each.attempts, each.payouts) for number, each in own.open.items()}
    in_books = {
        number: (each.asset, each.state, len(each.attempts), each.payouts) for number, each in books.open.items()
    }
    pairs = {
        "number": ((own.number, own.digest[0]), (books.number, books.digest)),
        "open": (open_, in_books),
        "leaves": ({asset: sums.leaves for asset, sums in assets.items()}, books.leaves),
        "paid": ({asset: dict(sums.paid) for asset, sums in assets.items()}, _nonzero(books.paid, assets)),
        "settled": ({asset: dict(sums.settled) for asset, sums in assets.items()}, _nonzero(books.settled, assets)),
        "covered": ({asset: sums.covered for asset, sums in assets.items() if sums.covered}, books.covered),
        "failed": ({asset for asset, sums in assets.items() if sums.failed}, set(books.failed)),
    }
    for field, (expected, found) in pairs.items():
        _same(
            case,
            field,
            expected,
            found,
            f"the books have another {field} of {contract_ref.contract!r} on {contract_ref.chain!r}",
        )


def _nonzero(sums: dict[str, dict[str, int]], assets: dict[str, OwnAsset]) -> dict[str, dict[str, int]]:
    """Sums by asset and receiver as the auditor keeps them: every asset, and nothing that is 0."""
    return {
        asset: {receiver: amount for receiver, amount in sums.get(asset, {}).items() if amount}
        for asset in {**assets, **sums}
    }


def _money(case: Case, counted: Counted) -> None:
    """The legs of money: what is deferred, due to receivers, and settled by batches or, directly, with purchases."""
    legs: dict[str, Counter[tuple[str, str]]] = {"deferred": Counter(), "due": Counter(), "settled": Counter()}
    for (place, asset, receiver), amount in counted.legs.items():
        if place in legs:
            legs[place][asset, receiver] += amount
    deferred = Counter({(asset, ""): amount - counted.direct[asset] for asset, amount in counted.kept.items()})
    direct = Counter({(asset, ""): amount for asset, amount in counted.direct.items()})
    due: Counter[tuple[str, str]] = Counter()
    for escrow, sums in case.settled.assets.items():
        asset = escrow.asset
        deferred[asset, ""] -= sum(sums.paid.values())
        for receiver in {*sums.paid, *sums.settled}:
            due[asset, receiver] += sums.paid[receiver] - sums.settled[receiver]
            legs["settled"][asset, receiver] -= sums.settled[receiver]
    # Of what receivers have directly only the sum is known: each payment back was parted among them by itself.
    for asset, receiver in counted.directly:
        legs["settled"][asset, ""] += legs["settled"].pop((asset, receiver), 0)
    for field, expected in (("deferred", deferred), ("due", due), ("settled", direct)):
        left, right = (
            {f"{asset} {receiver}".strip(): amount for (asset, receiver), amount in sums.items() if amount}
            for sums in (expected, legs[field])
        )
        _same(case, field, left, right, f"the money that is {field} differs from the sum of its movements")


def _same(case: Case, field: str, expected: object, found: object, message: str) -> None:
    case.findings.checked["books"] += 1
    if expected != found:
        case.findings.add("books", None, field, expected, found, message)
