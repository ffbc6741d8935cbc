"""Conformance suite for pricing policies, for their authors. No product code imports it."""
