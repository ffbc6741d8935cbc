"""Reports from a log: exports, batches, money, and how long money has waited to be settled."""
