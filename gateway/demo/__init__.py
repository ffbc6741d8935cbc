"""The demo: from a usage trace to charged, corrected, settled and audited books, and a summary of them."""

from .run import Options, run
from .showing import show
from .summary import Summary

__all__ = ["Options", "Summary", "run", "show"]
