"""The leaf file: one way to write a batch, and nothing else is read."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains import leaf_file
from ledger.errors import BadData
from ledger.events import Leaf, Payout
from ledger.settlement.messages import Batch

pytestmark = pytest.mark.smoke

BATCH = Batch(
    ledger="5d0c",
    chain="mock:local",
    contract="till",
    number=3,
    asset="mock:local/eur",
    at=1_700_000_000_000_000,
    covers={"main": 41},
    head_seq=42,
    head_hash="c0ffee",
    previous="0xab",
    leaves=(Leaf("Zoë", "gold", 2**256 - 1, 0), Leaf("alice", "gold", 2**63, 2**64), Leaf("alice", "silver", 7, 0)),
    payouts=(Payout("bob", -(10**30)), Payout("fee", 2**64 + 1)),
)
GOLDEN = """{
  "format": "tollbook-leaves-1",
  "ledger": "5d0c",
  "chain": "mock:local",
  "contract": "till",
  "number": 3,
  "asset": "mock:local/eur",
  "at": 1700000000000000,
  "covers": {"main":41},
  "head_seq": 42,
  "head_hash": "c0ffee",
  "previous": "0xab",
  "leaves": [
    {"subscriber":"Zoë","plan":"gold","charged":%d,"credited":0},
    {"subscriber":"alice","plan":"gold","charged":9223372036854775808,"credited":18446744073709551616},
    {"subscriber":"alice","plan":"silver","charged":7,"credited":0}
  ],
  "payouts": [
    {"receiver":"bob","amount":-1000000000000000000000000000000},
    {"receiver":"fee","amount":18446744073709551617}
  ]
}
""" % (2**256 - 1)  # noqa: UP031 - the text is full of braces

money = st.integers(0, 2**256 - 1)
small = st.integers(0, 2**63)
text = st.text(max_size=8)
batches = st.builds(
    Batch,
    **dict.fromkeys(["ledger", "chain", "contract", "asset", "head_hash", "previous"], text),
    **dict.fromkeys(["number", "at", "head_seq"], small),
    covers=st.dictionaries(text, small, max_size=4),
    leaves=st.dictionaries(st.tuples(text, text), st.tuples(money, money), max_size=6).map(
        lambda found: tuple(Leaf(*account, *counters) for account, counters in sorted(found.items()))
    ),
    payouts=st.dictionaries(text, st.integers(-(2**255), 2**255 - 1), max_size=4).map(
        lambda found: tuple(Payout(*row) for row in sorted(found.items()))
    ),
)


def with_fields(**fields: object) -> Batch:
    return msgspec.structs.replace(BATCH, **fields)


def test_a_leaf_file_is_written_like_this_for_ever():
    assert leaf_file.encode(BATCH).decode() == GOLDEN
    assert leaf_file.decode(GOLDEN.encode()) == BATCH


def test_every_field_of_a_batch_is_in_the_file_after_its_format():
    assert list(json.loads(leaf_file.encode(BATCH))) == ["format", *Batch.__struct_fields__]


def test_a_batch_without_leaves_or_payouts_has_empty_lists():
    written = leaf_file.encode(with_fields(leaves=(), payouts=()))
    assert written.endswith(b'  "leaves": [],\n  "payouts": []\n}\n')
    assert leaf_file.decode(written) == with_fields(leaves=(), payouts=())


@pytest.mark.parametrize("amount", [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 2**128 - 1, 2**256 - 1])
def test_money_of_any_size_comes_back_as_it_was(amount):
    batch = with_fields(leaves=(Leaf("a", "p", amount, amount),), payouts=(Payout("r", -amount), Payout("s", amount)))
    assert leaf_file.decode(leaf_file.encode(batch)) == batch


@given(batches)
def test_what_is_written_is_read_back_and_is_json_for_everyone(batch):
    written = leaf_file.encode(batch)
    assert leaf_file.decode(written) == batch
    found = json.loads(written)
    assert [Leaf(**leaf) for leaf in found["leaves"]] == list(batch.leaves)
    assert [Payout(**payout) for payout in found["payouts"]] == list(batch.payouts)


def test_the_order_in_which_streams_were_noted_does_not_matter():
    one, other = with_fields(covers={"b": 1, "a": 2}), with_fields(covers={"a": 2, "b": 1})
    assert leaf_file.encode(one) == leaf_file.encode(other)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"leaves": (Leaf("b", "p", 1, 0), Leaf("a", "p", 1, 0))}, "the leaves are not sorted by subscriber and plan"),
        ({"leaves": (Leaf("a", "q", 1, 0), Leaf("a", "p", 1, 0))}, "the leaves are not sorted by subscriber and plan"),
        ({"leaves": (Leaf("a", "p", 1, 0), Leaf("a", "p", 2, 0))}, "'a' on 'p' occurs twice among the leaves"),
        ({"payouts": (Payout("b", 1), Payout("a", 1))}, "the payouts are not sorted by receiver"),
        ({"payouts": (Payout("a", 1), Payout("a", 2))}, "'a' occurs twice among the payouts"),
        ({"ledger": "\ud800"}, "surrogates not allowed"),
    ],
)
def test_a_batch_out_of_order_or_with_an_account_twice_is_refused(fields, why):
    with pytest.raises(ValueError, match=why):
        leaf_file.encode(with_fields(**fields))


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ('"number": 3', '"number":  3'),
        ('"number": 3', '"number": 3,\n  "number": 3'),
        ('"number": 3', '"number": 3,\n  "extra": 3'),
        ('"format": "tollbook-leaves-1",\n  "ledger": "5d0c"', '"ledger": "5d0c",\n  "format": "tollbook-leaves-1"'),
        ('"plan":"gold","charged":9', '"charged":9,"plan":"gold","charged":9'),
        ('"credited":0}', '"credited":0,"note":""}'),
        ("Zoë", "Zo\\u00eb"),
        ('{"main":41}', '{"side":1,"main":41}'),
        ("\n", "\r\n"),
        ("\n}\n", "\n}"),
        ("\n}\n", "\n}\n\n"),
    ],
)
def test_a_file_that_means_a_batch_but_is_written_otherwise_is_refused(found, instead):
    assert found in GOLDEN
    with pytest.raises(BadData, match="the leaf file is not in its canonical encoding: see line"):
        leaf_file.decode(GOLDEN.replace(found, instead, 1).encode())


def test_the_line_that_is_written_otherwise_is_named():
    with pytest.raises(BadData, match=r"see line 6\n") as caught:
        leaf_file.decode(GOLDEN.replace('"number": 3', '"number":3').encode())
    assert caught.value.line == 6


@pytest.mark.parametrize(
    ("found", "instead", "why"),
    [
        ("tollbook-leaves-1", "tollbook-leaves-2", "format 'tollbook-leaves-2', not 'tollbook-leaves-1'"),
        ('"format": "tollbook-leaves-1",', "", "missing required field `format`"),
        ('"number": 3,', "", "missing required field `number`"),
        ('"charged":7', '"charged":"7"', r"Expected `int`, got `str` - at `\$.leaves\[2\].charged`"),
        ('"charged":7', '"charged":7.0', "Expected `int`, got `float`"),
        ('"charged":7', '"charged":-7', "not an amount of money"),
        ('"charged":7', '"charged":' + "7" * 5000, "out of range"),
        ('"charged":7', '"charged":07', "malformed"),
        ('"alice","plan":"silver"', '"Alice","plan":"silver"', "not sorted"),
        ('"plan":"silver"', '"plan":"gold"', "occurs twice"),
        ('"receiver":"fee"', '"receiver":"bob"', "occurs twice"),
        ('"5d0c"', '"\\ud800"', "this is not a leaf file"),
    ],
)
def test_a_file_that_means_no_batch_is_refused_with_its_reason(found, instead, why):
    assert found in GOLDEN
    with pytest.raises(BadData, match=why):
        leaf_file.decode(GOLDEN.replace(found, instead, 1).encode())


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":' * 9999]
)
def test_bytes_that_are_no_leaf_file_at_all_are_bad_data(data):
    with pytest.raises(BadData, match="this is not a leaf file"):
        leaf_file.decode(data)


@given(st.integers(0, len(GOLDEN.encode()) - 1), st.integers(1, 255))
def test_no_byte_can_change_unnoticed(place, change):
    """Whatever is still read is another batch, and is written as exactly those bytes."""
    data = bytearray(GOLDEN.encode())
    data[place] ^= change
    try:
        found = leaf_file.decode(bytes(data))
    except BadData:
        return
    assert found != BATCH
    assert leaf_file.encode(found) == bytes(data)
