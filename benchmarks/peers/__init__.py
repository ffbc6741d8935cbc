"""Other ledgers at the same work, each as its authors recommend; one that is not installed is skipped."""
