"""The demo: from a usage trace to charged, corrected, settled and audited books, and a summary of them."""

from .run import run
from .showing import show
from .summary import Summary

__all__ = ["Summary", "run", "show"]
