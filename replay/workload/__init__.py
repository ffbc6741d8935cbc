"""Usage to replay: traces read from files, customers and usage generated from a seed or a profile."""
