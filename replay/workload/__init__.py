"""Usage to replay: traces read from files, customers and usage generated from a seed or a profile."""

from .customers import assign, demand, draw, generate
from .profiles import Profile, read_profile
from .traces import Row, Trace
from .traces import read as read_trace

__all__ = ["Profile", "Row", "Trace", "assign", "demand", "draw", "generate", "read_profile", "read_trace"]
