"""Other ledgers at the same work, each as its makers recommend it; where one is not installed, it is skipped."""
