"""The audit: a log is read as it stands on disk, and everything in it is computed again. `run.audit` is the entry."""
