"""Policies by plan and tariff version, made once from the catalogue and cached."""

from __future__ import annotations

from copy import deepcopy

from .catalogue import Plan
from .errors import LedgerError
from .events import Tariff
from .plugins import DecimalFactory, Policy, Registry, policies
from .plugins import PolicyFactory as Factory
from .plugins.discovery import described
from .rating import PolicyFailed, fault_of


class Tariffs:
    """Cache of the policies of all tariffs, each made when it is first needed."""

    def __init__(self, registry: Registry[Factory] = policies) -> None:
        self._registry = registry
        self._made: dict[tuple[str, int], tuple[Tariff, Policy]] = {}
        self._any_period: dict[str, tuple[Plan, bool]] = {}

    def make(self, name: str, parameters: dict[str, object], decimals: int) -> Policy:
        """Make a policy by name, for a plan whose credits have so many decimals.

        Raises UnknownPlugin, or ValueError if the parameters are invalid.
        """
        factory, own = self._registry.get(name), deepcopy(parameters)  # the originals are the books', or the command's
        return factory.with_decimals(own, decimals) if isinstance(factory, DecimalFactory) else factory(own)

    def policy(self, plan: Plan, version: int) -> Policy:
        """Return the policy of a plan's tariff version. Raises PolicyFailed if it is not installed in that version, or
        cannot be used."""
        tariff = plan.tariffs[version - 1]
        made = self._made.get((plan.terms.plan, version))
        if made is not None and made[0] is tariff:
            return made[1]
        try:
            policy = self.make(tariff.policy, tariff.parameters, plan.terms.decimals)
            installed, fault = policy.version, fault_of(policy)
        except Exception as error:
            known = isinstance(error, LedgerError | ValueError)
            reason, hint = str(error) if known else described(error), getattr(error, "hint", None)
            raise PolicyFailed(f"the tariff's policy {tariff.policy!r} cannot be made: {reason}", hint) from error
        if fault:
            raise PolicyFailed(f"the tariff's policy {tariff.policy!r} cannot be used: {fault}")
        if installed != tariff.policy_version:
            raise PolicyFailed(
                f"the tariff needs version {tariff.policy_version} of the policy {tariff.policy!r}, "
                f"and version {installed} is installed"
            )
        self._made[plan.terms.plan, version] = (tariff, policy)
        return policy

    def any_period(self, plan: Plan) -> bool:
        """True if a tariff of the plan has the scope `period`. A policy that cannot be made counts as not."""
        cached = self._any_period.get(plan.terms.plan)
        if cached is None or cached[0] is not plan:
            any_period = any(self._has_period_scope(plan, tariff.version) for tariff in plan.tariffs)
            cached = self._any_period[plan.terms.plan] = (plan, any_period)
        return cached[1]

    def _has_period_scope(self, plan: Plan, version: int) -> bool:
        try:
            return self.policy(plan, version).scope == "period"
        except PolicyFailed:
            return False
