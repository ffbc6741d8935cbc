"""Settlement: what was earned leaves the ledger. This room's place is kept; its code comes with settlement.

The ledger has for it already: the settlement events (`ledger.events`), their legs (`ledger.movements`), and on each
lot the money, who has it, and what is earned of it.
"""
