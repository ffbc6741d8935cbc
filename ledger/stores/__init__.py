"""Stores of the log: `sqlite`, the embedded default, and `memory`, for tests. Others are plugins."""
