"""The gateway: how users reach the ledger. Today the command line."""
