"""The audit in words: what each check means, and the terms that its page uses."""

from __future__ import annotations

MEANINGS = {
    "unreadable": "Every commit can be read, no page of the file is damaged or lost, and the file's tables, triggers "
    "and views are those of a new log.",
    "hash": "Each commit's hash covers its bytes and the hash before it: no byte of any commit was changed since it "
    "was written.",
    "sequence": "Events are numbered without a gap, and each commit has as many as it says.",
    "time": "Time never goes back, and what time makes necessary (expiries, lapses, starts) is written when it is due.",
    "schema": "Every event is of a known type, with all its fields, and refers to what exists.",
    "conservation": "All credits and all money sum to zero over those who gave and those who have: nothing appears or "
    "disappears.",
    "books": "Two independent computations of every balance, by folding and by double entry, agree.",
    "overspend": "No account has spent, holds or has lapsed more credits than it was sold or given.",
    "hold": "Each admitted request holds what its estimate costs by its tariff.",
    "price": "Each charge is the price of its usage by its tariff, computed again.",
    "meter": "Each charge counts from the usage that was really metered before it.",
    "draws": "Credits are drawn from, and given back to, the lots whose turn it is.",
    "adjustment": "Each correction refers to a charge, and gives back no more than was charged.",
    "earned": "Money that lots have earned, or gave back, follows from the credits that were used.",
    "payouts": "Each batch pays each receiver what it had earned and had not been paid yet.",
    "root": "Each batch's Merkle root and digest are those of the accounts' counters.",
    "batch_order": "Batches follow each other, and each one goes its way once: opened, sent, confirmed or failed.",
    "snapshot": "Caches in the file (snapshots, the index of accounts) agree with the log.",
    "solvency": "No batch pays more than its purchases have brought into escrow.",
    "debt": "No account has debt and free credits at the same time.",
    "coverage": "Holds cover what open requests may still cost, and move between requests as the rules say.",
    "window": "Windows of time queue behind each other as the rules say.",
    "limit": "No request was admitted beyond the limits of its plan.",
    "unpriced": "Usage that no rate reads is stated as such, or was refused.",
    "frozen": "Frozen accounts did not act.",
    "invoice": "Each invoice states what was used in its period; what was paid, is owed or was written off sums to it.",
    "missing_end": "The log still has the head that was noted after an earlier audit, and continues from it.",
    "difference": "The log and its copy, or a saved audit of it, are the same.",
    "chain_batch": "The chain has the batches that the log has, with the same digests and roots.",
    "chain_purchase": "Purchases and exits on the chain and in the log are the same, one by one.",
    "chain_payout": "Receivers were paid and are due on the chain what the log says.",
    "chain_escrow": "The chain holds for subscribers what the log says is unspent.",
}
"""By kind of finding, the statement that holds where there is none."""

GLOSSARY = {
    "event, commit, sequence": "A fact; the facts that became durable together; a fact's number.",
    "head": "The last event's number, with the hash of its commit. It names one history and no other.",
    "hash chain": "Each commit's hash covers the commit before it, so no byte can be changed alone.",
    "account, lot": "One subscriber's position on one plan; credits or a window of time on it, with their money.",
    "hold, charge, correction": "Credits reserved for a request; its cost; a later change of that cost.",
    "tariff, policy": "A plan's prices, in numbered versions; the arithmetic of a tariff.",
    "sold, earned, settled": "Money paid by subscribers, less refunds; the part of it that was used; the part of that "
    "which receivers have.",
    "receivable, written off": "Money that is owed on invoices; the part of it that will not be paid.",
    "escrow, batch, root": "Money that a contract holds for subscribers; a payout of what was earned; the Merkle root "
    "that commits to every account's counters.",
    "finding": "A difference between the log and what it must be. Without any, the verdict is clean.",
}
"""Terms of the page, each with its meaning."""
