#!/usr/bin/env bash
# pyarrow 26.0.1: the sum of decimals that does not fit their type wraps around, and so does the mean; no error.
#
# decimal128(38, 0) is what amounts of a token with 18 decimals are given. `add` of two such arrays raises ArrowInvalid; the
# aggregates `sum` and `mean`, alone or in group_by, add in 128 bits without a check. Three amounts of 6e37 sum to a
# negative number, of 39 digits, which the declared precision of 38 excludes. Casting to decimal256 first is exact.
#
# Seen:    two:    120000000000000000000000000000000000000 (right, though it has 39 digits)
#          three: -160282366920938463463374607431768211456, decimal128(38, 0)
#          four, mean by group: -25070591730234615865843651857942052864
#          three as decimal256(76, 0): 180000000000000000000000000000000000000
# So:      sum amounts of tokens in decimal256, or bound them before.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pyarrow==26.0.1 2>/dev/null

venv/bin/python - <<'PYTHON' | tee seen
from decimal import Decimal

import pyarrow
import pyarrow.compute

amount, narrow = Decimal(6 * 10**37), pyarrow.decimal128(38, 0)
for number in (2, 3):
    total = pyarrow.compute.sum(pyarrow.array([amount] * number, narrow))
    print(number, total, total.type)
table = pyarrow.table({"key": ["a"] * 4, "amount": pyarrow.array([amount] * 4, narrow)})
print("mean", table.group_by("key").aggregate([("amount", "mean")])["amount_mean"][0])
print("decimal256", pyarrow.compute.sum(pyarrow.array([amount] * 3, narrow).cast(pyarrow.decimal256(76, 0))))
PYTHON

grep -qx '2 120000000000000000000000000000000000000 decimal128(38, 0)' seen
grep -qx '3 -160282366920938463463374607431768211456 decimal128(38, 0)' seen
grep -qx 'mean -25070591730234615865843651857942052864' seen
grep -qx 'decimal256 180000000000000000000000000000000000000' seen
echo "as described"
