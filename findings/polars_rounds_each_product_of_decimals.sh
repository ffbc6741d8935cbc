#!/usr/bin/env bash
# Polars 2.1.0 rounds every product of two decimals to the larger of their scales.
#
# 0.5 units at a rate of 0.03 cost 0.015. Decimal arithmetic in Python, SQL (DuckDB) and Arrow give 0.015, since a product
# has the digits of both factors. Polars keeps the larger scale, two digits here, and rounds row by row, without a word:
# a thousand such rows cost 20.00 instead of 15.000. More digits in either column give the exact product.
#
# Seen:    polars   0.02 a row, 20.00 in all, Decimal(38, 2);  with both columns cast to Decimal(38, 6): 15.000000
#          pyarrow  0.015 a row;  duckdb 0.015 a row
# So:      cast units and rates to the scale that the product needs before multiplying them in Polars.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet polars==2.1.0 pyarrow==26.0.1 duckdb==2.0.1 2>/dev/null

venv/bin/python - <<'PYTHON' | tee seen
from decimal import Decimal

import duckdb
import polars
import pyarrow
import pyarrow.compute

units, rate = Decimal("0.5"), Decimal("0.03")
frame = polars.DataFrame({"units": [units] * 1000, "rate": [rate] * 1000})
cost = (polars.col("units") * polars.col("rate")).alias("cost")
products = frame.select(cost)
print("polars", products.item(0, 0), products["cost"].sum(), products.schema["cost"])
wide = frame.cast(polars.Decimal(38, 6)).select(cost)
print("polars, six digits", wide["cost"].sum())
print("pyarrow", pyarrow.compute.multiply(pyarrow.array([units]), pyarrow.array([rate]))[0])
print("duckdb", duckdb.sql("SELECT 0.5::DECIMAL(9, 1) * 0.03::DECIMAL(9, 2)").fetchall()[0][0])
print("exact", units * rate, sum([units * rate] * 1000))
PYTHON

grep -qx 'polars 0.02 20.00 Decimal(precision=38, scale=2)' seen
grep -qx 'polars, six digits 15.000000' seen
grep -qx 'pyarrow 0.015' seen
grep -qx 'duckdb 0.015' seen
grep -qx 'exact 0.015 15.000' seen
echo "as described"
