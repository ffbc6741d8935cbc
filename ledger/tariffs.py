"""Policies by plan and tariff version, made once from the catalogue and kept."""

from __future__ import annotations

from copy import deepcopy
from typing import get_args

from .catalogue import Plan
from .events import Tariff
from .plugins import Policy, Registry, Scope, policies
from .plugins import PolicyFactory as Factory
from .rating import PolicyFailed


class Tariffs:
    """Makes the policy of a tariff when it is first needed. The registry is the only thing global."""

    def __init__(self, registry: Registry[Factory] = policies) -> None:
        self._registry = registry
        self._made: dict[tuple[str, int], tuple[Tariff, Policy]] = {}
        self._any_period: dict[str, tuple[Plan, bool]] = {}

    def make(self, name: str, parameters: dict[str, object]) -> Policy:
        """A policy by name. Raises UnknownPlugin, or ValueError where the parameters are not right."""
        return self._registry.get(name)(deepcopy(parameters))  # they are the books' own, or the command's

    def policy(self, plan: Plan, version: int) -> Policy:
        """The policy of a plan's tariff version. Raises PolicyFailed where it is not installed in that version."""
        tariff = plan.tariffs[version - 1]
        made = self._made.get((plan.terms.plan, version))
        if made is not None and made[0] is tariff:
            return made[1]
        try:
            policy = self.make(tariff.policy, tariff.parameters)
            installed, scope = policy.version, policy.scope
        except Exception as error:
            raise PolicyFailed(f"the tariff's policy {tariff.policy!r} cannot be made: {error}") from error
        if installed != tariff.policy_version:
            raise PolicyFailed(
                f"the tariff needs version {tariff.policy_version} of the policy {tariff.policy!r}, "
                f"and version {installed} is installed"
            )
        if scope not in get_args(Scope):
            raise PolicyFailed(f"the tariff's policy {tariff.policy!r} has no scope: {scope!r}")
        self._made[plan.terms.plan, version] = (tariff, policy)
        return policy

    def any_period(self, plan: Plan) -> bool:
        """Whether a tariff of the plan has a total that is about a period. One that cannot be made has none."""
        known = self._any_period.get(plan.terms.plan)
        if known is None or known[0] is not plan:
            known = self._any_period[plan.terms.plan] = (plan, any(map(self._is_about_a_period, _versions(plan))))
        return known[1]

    def _is_about_a_period(self, place: tuple[Plan, int]) -> bool:
        try:
            return self.policy(*place).scope == "period"
        except PolicyFailed:
            return False


def _versions(plan: Plan) -> list[tuple[Plan, int]]:
    return [(plan, tariff.version) for tariff in plan.tariffs]
