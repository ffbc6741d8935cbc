"""The decimals of an amount that a command has as text or Decimal: of its plan's credits, or of its plan's asset."""

from __future__ import annotations

from typing import Any

from .accounts import Account
from .books import Books
from .commands import Adjust, Command, Reverse
from .commands.written_amounts import is_in_credits
from .errors import WrongValue

_WHOLE = "give a whole number of the smallest unit"


def decimals_of(books: Books, command: Command, charged: Account | None) -> int:
    """Return the decimals of a written amount. `charged` is the account of the charge that is adjusted, if one is.

    Raises WrongValue where the books do not have them.
    """
    named: Any = command
    plan = books.plans.get(named.plan if charged is None else charged.plan)
    if plan is None:
        what = f"charge {named.charge}" if isinstance(command, Adjust) and command.charge else f"plan {named.plan!r}"
        raise WrongValue(f"the decimals of the {what} are not known: there is none", f"correct it, or {_WHOLE}")
    if is_in_credits(command):
        return plan.terms.decimals
    asset = plan.terms.asset
    if isinstance(command, Reverse) and (account := books.find(command.subscriber, command.plan)) is not None:
        others = sorted({lot.asset for lot in account.lots.values() if lot.cost} - {asset})
        if others:  # the payment may have been in another asset than the plan's
            raise WrongValue(f"amount: {', '.join([asset, *others])} were paid on the account", _WHOLE)
    if asset not in books.assets:
        raise WrongValue(f"amount: the decimals of {asset!r} are not known", _WHOLE)
    return books.assets[asset]
