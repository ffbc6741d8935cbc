"""Settlement: what was earned leaves the ledger. This room's place is kept; its code comes with settlement.

What the ledger already has for it: the settlement events (`ledger.events`), their legs (`ledger.movements`), and on every
lot the money, who has it, and what is earned of it.
"""
