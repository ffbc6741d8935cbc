"""Settlement in the core: what a batch says and pays (`netting`), what passes between ledger and chain (`messages`),
and the decisions on a batch's commands (`decide`)."""
