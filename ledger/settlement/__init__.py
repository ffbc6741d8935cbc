"""Settlement in the core: a batch's leaves and payouts (`netting`), the messages between ledger and chain (`messages`),
the decisions on a batch's commands (`decide`), and the state of batches (`state`)."""
