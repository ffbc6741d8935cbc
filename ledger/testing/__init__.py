"""What the author of a store runs: the conformance suite of stores, and how every conformance suite reports.

No product code imports it."""
