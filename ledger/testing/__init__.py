"""Conformance suite for stores, for their authors, and the report that every conformance suite uses.

No product code imports it.
"""
