"""What the author of a pricing policy runs: the conformance suite of policies. No product code imports it."""
