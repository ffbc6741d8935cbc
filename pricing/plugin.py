"""Plugin of the built-in policies: the entry point `builtin` of the group `tollbook.pricing`."""

from ledger.plugins import PolicyFactory, Register, hookimpl

from .per_period import Graduated, Package, Volume
from .per_request import Complexity, CostPlus, PerCredit, Time


@hookimpl
def register_policies(register: Register[PolicyFactory]) -> None:
    """Register each built-in policy under its name."""
    for policy in (Time, PerCredit, Complexity, CostPlus, Graduated, Volume, Package):
        register(policy.name, policy)
