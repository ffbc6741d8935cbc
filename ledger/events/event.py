"""The base of all events."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type"):
    """The fields of all events.

    Fields:
        key: Idempotency key of the command, on its first event. None: it had none.
        fingerprint: Digest of the command's content, with its key. None: it had neither key nor payment nor chain fact.

    Shared fields:
        account: Number of the account, as `purchased` or `subscribed` gave it.
        subscriber: Name of the subscriber.
        plan: Name of the plan.
        agent: Number of the agent; 0: none.
        request: Request, by the sequence of its event.
        lot: Lot, by the sequence of the event that added it.
        invoice: Number of the invoice; an account's are counted from 1.
        tariff: Version of the plan's tariff, from 1.
        labels: Labels by name; the built-in policies read `model`.
        unpriced: Units of the usage that no rate of the tariff reads, by dimension.
        instant: Time at which it was due, in UTC microseconds; its commit may be later.
        repaid: Debt of the account that returning credits pay, by the lot that pays it.
        asset: Asset of the money.
        payment: Id of the payment; empty: none.
        reason: Note for people; nothing is decided by it.
        fact: Exit on a chain, by its id there. None: no chain caused it.
    """

    key: str | None = None
    fingerprint: str | None = None
