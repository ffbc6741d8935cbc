"""Benchmarks of Tollbook: each figure beside its floor and beside other ledgers in the same run.

`pytest` runs every benchmark once at a small size and checks its answer; `python -m benchmarks` times all of them at
full size; `python -m benchmarks growth` shows how cost grows with the log and with the accounts.
"""
