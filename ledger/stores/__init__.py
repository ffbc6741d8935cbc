"""Where the log is kept. `sqlite` is the embedded default, `memory` is for tests; others come in as plugins."""
