"""Settlement as the command line runs it: which chain, a connection to it, one run, and proofs."""
