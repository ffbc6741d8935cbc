#!/usr/bin/env bash
# py-moneyed 3.0 shows 99.75 HUF as HUF100, and 1.500 IQD as IQD2, though it knows 100 and 1000 subunits of them.
#
# Its currencies have the subunits of ISO 4217. Its format_money uses Babel (2.19.0 here), whose digits of a currency
# are CLDR's, what is customary in print: none for fifteen currencies to which ISO 4217 gives two or three, among them
# HUF, IDR, COP, ALL and IQD. The amount is rounded to that, half to even, without a word. `currency_digits=False`
# shows the amount as it is.
#
# Seen:    HUF 99.75 -> HUF100, IQD 1.500 -> IQD2, IQD 2.500 -> IQD2;  with currency_digits=False and a format with
#          decimals: HUF99.75
# So:      a statement of account takes the decimals of ISO 4217, not those of the locale's data.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet py-moneyed==3.0 babel==2.19.0 iso4217==1.16.20260101 2>/dev/null

venv/bin/python - <<'PYTHON' | tee seen
import iso4217
import moneyed
from babel.numbers import get_currency_precision
from moneyed.l10n import format_money

for code, text in (("HUF", "99.75"), ("IQD", "1.500"), ("IQD", "2.500"), ("USD", "99.75")):
    money = moneyed.Money(text, code)
    print(code, text, money.currency.sub_unit, format_money(money, locale="en_US"))
print("as it is", format_money(moneyed.Money("99.75", "HUF"), locale="en_US", currency_digits=False))
digits = {each.code: each.exponent for each in iso4217.Currency if each.exponent is not None}
others = sorted(code for code, places in digits.items() if get_currency_precision(code) != places)
print(len(others), *others)
PYTHON

grep -qx 'HUF 99.75 100 HUF100' seen
grep -qx 'IQD 1.500 1000 IQD2' seen
grep -qx 'IQD 2.500 1000 IQD2' seen
grep -qx 'USD 99.75 100 $99.75' seen
grep -qx 'as it is HUF99.75' seen
grep -qx '15 AFN ALL COP HUF IDR IQD IRR KPW LAK LBP MGA MMK SOS SYP YER' seen
echo "as described"
