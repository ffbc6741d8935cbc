"""How long a test waits for what must come before it fails: long enough for a busy machine."""

PATIENCE = 300
"""Seconds."""
