"""How a leaf becomes bytes: Solidity's `abi.encode`, hashed twice, and which leaves are of one account."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.leaves import EVM_LEAF, TEXT_LEAF, abi_encode, account_key, check_unique, keccak, leaf_hash
from ledger.events import Leaf

pytestmark = pytest.mark.smoke

CHECKSUMMED = (  # the examples of EIP-55
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)
ALICE = CHECKSUMMED[0]


def word(value: int) -> str:
    return f"{value:064x}"


def padded(text: str) -> str:
    return text.encode().hex().ljust(64, "0")


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_keccak_gives_its_known_answers(data, digest):
    assert keccak(data).hex() == digest


def test_a_text_leaf_is_two_offsets_two_numbers_and_two_texts():
    encoded = abi_encode(TEXT_LEAF, ("Zoë", "", 2**256 - 1, 0))
    words = [word(128), word(192), "f" * 64, word(0)]  # where the texts begin, and the counters
    words += [word(4), padded("Zoë")]  # four bytes of UTF-8
    words += [word(0)]  # an empty text is its length alone
    assert encoded.hex() == "".join(words)


@pytest.mark.parametrize(("length", "words"), [(0, 0), (1, 1), (31, 1), (32, 1), (33, 2), (64, 2), (65, 3)])
def test_a_text_fills_whole_words_and_none_for_nothing(length, words):
    text = "x" * length
    assert abi_encode(("string",), (text,)).hex() == word(32) + word(length) + text.encode().hex().ljust(
        64 * words, "0"
    )


def test_an_evm_leaf_is_four_words():
    encoded = abi_encode(EVM_LEAF, (ALICE, "7", 2**128 - 1, 3))
    assert encoded.hex() == ALICE[2:].lower().rjust(64, "0") + word(7) + word(2**128 - 1) + word(3)


@pytest.mark.parametrize(
    ("kind", "value", "encoded"),
    [
        ("int256", -1, "f" * 64),
        ("int8", -128, "f" * 62 + "80"),
        ("int96", 5, word(5)),
        ("bytes32", b"\xab" * 32, "ab" * 32),
    ],
)
def test_signed_numbers_are_twos_complement_and_hashes_stand_as_they_are(kind, value, encoded):
    assert abi_encode((kind,), (value,)).hex() == encoded


def test_a_leaf_is_hashed_twice():
    leaf = Leaf(ALICE, "7", 1, 2)
    assert leaf_hash(leaf, EVM_LEAF) == keccak(keccak(abi_encode(EVM_LEAF, (ALICE, "7", 1, 2))))
    assert leaf_hash(leaf, TEXT_LEAF) == keccak(keccak(abi_encode(TEXT_LEAF, (ALICE, "7", 1, 2))))


@pytest.mark.parametrize("address", CHECKSUMMED)
def test_an_address_may_be_checksummed_or_in_one_case(address):
    digits = address[2:]
    keys = {account_key(text, "1", EVM_LEAF) for text in (address, "0x" + digits.lower(), "0x" + digits.upper())}
    assert len(keys) == 1


@pytest.mark.parametrize("place", [i for i, letter in enumerate(ALICE) if letter.isalpha() and i > 1])
def test_an_address_in_mixed_case_is_refused_where_one_letter_is_in_the_wrong_case(place):
    mistyped = ALICE[:place] + ALICE[place].swapcase() + ALICE[place + 1 :]
    with pytest.raises(ValueError, match="wrong checksum"):
        account_key(mistyped, "1", EVM_LEAF)


@pytest.mark.parametrize(
    "subscriber",
    ["", "alice", ALICE[2:], ALICE[:-1], ALICE + "0", "0X" + ALICE[2:], " " + ALICE, ALICE + "\n", ALICE[:-1] + "g"],
)
def test_what_is_not_0x_and_40_hex_digits_is_no_address(subscriber):
    with pytest.raises(ValueError, match="is not an address: 0x and 40 hex digits"):
        account_key(subscriber, "1", EVM_LEAF)


def test_a_plan_on_an_evm_chain_is_a_number_in_decimal_or_hex():
    for same in ("255", "0255", "0xff", "0xFF", "0x" + "ff".rjust(64, "0")):
        assert account_key(ALICE, same, EVM_LEAF) == account_key(ALICE, "255", EVM_LEAF)
    assert account_key(ALICE, str(2**256 - 1), EVM_LEAF) == account_key(ALICE, "0x" + "f" * 64, EVM_LEAF)


@pytest.mark.parametrize(
    "plan",
    [
        "",
        "gold",
        "-1",
        "+1",
        "1.0",
        "1_000",
        " 1",
        "1\n",
        "ff",
        "0x",
        "0xg",
        "0x" + "0" * 65,
        "٣",
        str(2**256),
        "9" * 5000,
    ],
)
def test_a_plan_that_is_no_number_of_256_bits_is_refused(plan):
    with pytest.raises(ValueError, match="uint256"):
        account_key(ALICE, plan, EVM_LEAF)


@pytest.mark.parametrize(("types", "most"), [(EVM_LEAF, 2**128 - 1), (TEXT_LEAF, 2**256 - 1)])
def test_a_counter_goes_to_the_largest_number_of_its_type_and_not_beyond(types, most):
    leaf_hash(Leaf(ALICE, "1", most, most), types)
    for beyond in (Leaf(ALICE, "1", most + 1, 0), Leaf(ALICE, "1", 0, most + 1)):
        with pytest.raises(ValueError, match=f"{most + 1} does not fit uint"):
            leaf_hash(beyond, types)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("uint8", 256), ("uint8", -1), ("int8", 128), ("int8", -129), ("uint256", True), ("uint256", b"\1")],
)
def test_a_number_that_its_type_cannot_hold_is_refused(kind, value):
    with pytest.raises(ValueError, match=r"does not fit|is not a whole number"):
        abi_encode((kind,), (value,))


@pytest.mark.parametrize("value", [b"", b"\1" * 31, b"\1" * 33, "0x" + "01" * 32, 1])
def test_a_hash_is_32_bytes_and_nothing_else(value):
    with pytest.raises(ValueError, match="is not 32 bytes"):
        abi_encode(("bytes32",), (value,))


@pytest.mark.parametrize(
    "kind", ["uint", "uint7", "uint12", "uint0", "uint264", "bool", "bytes", "uint256[]", "String", ""]
)
def test_other_types_are_refused_and_not_guessed(kind):
    with pytest.raises(ValueError, match="is not a type that this encoder has"):
        abi_encode((kind,), (1,))


def test_text_that_utf8_cannot_hold_is_refused():
    """npm's library would write U+FFFD for it, and then two accounts could share a leaf."""
    with pytest.raises(ValueError, match="UTF-8"):
        account_key("\ud800", "p", TEXT_LEAF)


def test_an_account_has_one_leaf_however_it_is_spelled():
    same = [Leaf(ALICE, "16", 1, 0), Leaf(ALICE.lower(), "0x10", 2, 0)]
    with pytest.raises(ValueError, match=r"an account has two leaves: .* on '16' and .* on '0x10'"):
        check_unique(same, EVM_LEAF)
    check_unique(same, TEXT_LEAF)  # as names of a text chain they differ


def test_the_very_same_leaf_twice_is_refused_too():
    leaf = Leaf("alice", "gold", 1, 0)
    with pytest.raises(ValueError, match="two leaves"):
        check_unique([leaf, leaf], TEXT_LEAF)


def test_one_subscriber_on_two_plans_and_two_subscribers_on_one_plan_are_other_accounts():
    check_unique([Leaf("a", "p", 1, 0), Leaf("a", "q", 1, 0), Leaf("b", "p", 1, 0)], TEXT_LEAF)


@given(st.text(), st.text(), st.text(), st.text())
def test_texts_never_run_into_each_other(subscriber, plan, other, another):
    same = account_key(subscriber, plan, TEXT_LEAF) == account_key(other, another, TEXT_LEAF)
    assert same == ((subscriber, plan) == (other, another))


def test_no_text_moves_from_subscriber_to_plan_unseen():
    assert account_key("ab", "c", TEXT_LEAF) != account_key("a", "bc", TEXT_LEAF)
