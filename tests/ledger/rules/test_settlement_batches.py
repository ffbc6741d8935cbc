"""Batches: their life from the intent to the end, their numbers, and their line (chains.md, The outbox; contract.md).

The plan is 100 credits for 1000 USD, 900 to acme and 100 as a fee: a used credit earns 10.
"""

import pytest
from eth_hash.auto import keccak

from ledger import ContractRef, Reason, plugins
from ledger.events import tag

HERE = ContractRef("mock:local", "tollbook")


@pytest.fixture
def selling(shop):
    """A shop that has sold 100 credits of a plan into escrow."""
    shop.given(shop.plan(), shop.deposit("1"))
    return shop


def earn(shop, credits=1):
    shop.given(shop.charge_directly(credits))
    return shop


def opened(shop, *, submitted=True, asset="USD", **where):
    """A batch of one credit more; its number."""
    number = earn(shop).opens(asset, **where).batch.number
    if submitted:
        shop.given(shop.submit(number, **where))
    return number


def states(shop):
    return {each.batch.number: each.state for each in shop.ledger.batches(HERE)}


def refused(shop, command):
    """A command that is refused, for whatever reason; log and books stay as they were."""
    head, state = shop.ledger.head, shop.ledger.state()
    answer = shop.ledger.execute(command)
    assert not answer, f"{command} was accepted: {answer}"
    assert (shop.ledger.head, shop.ledger.state()) == (head, state)
    return answer


# -- the life of a batch -----------------------------------------------------------------------------------------------


def test_a_batch_goes_from_intent_to_end(selling):
    """Opened, submitted, committed, confirmed; each is an event of its own with what it has to say."""
    shop = earn(selling, 30)
    seq = shop.opens().seq
    assert states(shop) == {1: "opened"}
    shop.given(shop.submit(1, raw="0xf86c", transaction="0xaa"))
    assert states(shop) == {1: "submitted"}
    shop.given(shop.commit(1, transaction="0xaa", block=7))
    assert states(shop) == {1: "committed"}
    shop.given(shop.confirm(1, transaction="0xaa", block=7))
    assert states(shop) == {}
    place = {"number": 1, "chain": "mock:local", "contract": "tollbook"}
    assert [shop.stored(seq + 1 + step) for step in range(3)] == [
        {"type": "settlement_submitted", **place, "attempt": 1, "raw": "0xf86c", "transaction": "0xaa"},
        {"type": "settlement_committed", **place, "transaction": "0xaa", "block": 7},
        {"type": "settlement_confirmed", **place, "transaction": "0xaa", "block": 7},
    ]


def test_an_opening_is_stored_with_what_it_covers_its_root_and_its_payouts(selling):
    seq = earn(selling, 30).opens().seq
    stored = selling.stored(seq)
    assert (stored["type"], stored["number"], stored["asset"]) == ("settlement_opened", 1, "USD")
    assert (stored["chain"], stored["contract"], stored["covers"]) == (HERE.chain, HERE.contract, {"main": seq - 1})
    assert stored["payouts"] == [{"receiver": "acme", "amount": 270}, {"receiver": "fee", "amount": 30}]
    assert stored["root"].startswith("0x")
    assert stored["digest"].startswith("0x")


def test_the_root_and_the_digest_are_what_the_chains_plugin_makes_of_the_batch(selling):
    reading = earn(selling, 30).opens()
    commitment = plugins.chain_plugin("mock:local").commitment(reading.batch)
    assert (reading.root, reading.digest) == (commitment.root, commitment.digest)


def hashed(*leaf):
    """A leaf of (string, string, uint256, uint256) as in OpenZeppelin's StandardMerkleTree: keccak twice of its ABI."""
    words = [number.to_bytes(32, "big") for number in (128, 192, *leaf[2:])]
    texts = [len(text).to_bytes(32, "big") + text.encode().ljust(32, b"\0") for text in leaf[:2]]
    return keccak(keccak(b"".join(words + texts)))


def test_the_root_is_that_of_a_standard_merkle_tree_of_the_leaves(selling):
    """Of one leaf it is the leaf's hash, of two the hash of the sorted pair."""
    first = earn(selling, 30).settles()
    assert first.root == "0x" + hashed("alice", "pro", 300, 0).hex()
    selling.given(selling.deposit("2", subscriber="bob"))
    pair = sorted([hashed("alice", "pro", 310, 0), hashed("bob", "pro", 0, 0)])
    assert earn(selling).opens().root == "0x" + keccak(b"".join(pair)).hex()


def test_every_batch_builds_on_the_digest_of_the_one_before(selling):
    shop, digests = selling, [""]
    for _ in range(3):
        reading = earn(shop).settles()
        assert reading.batch.previous == digests[-1]
        digests.append(reading.digest)
    assert len(set(digests)) == 4


def test_attempts_are_kept_with_their_bytes_until_the_batch_ends(selling):
    """What was signed is in the log before it is sent, so that the same bytes can be sent again."""
    number = opened(selling, submitted=False)
    selling.given(selling.submit(number, 1, raw="first", transaction="0x1"))
    selling.given(selling.submit(number, 2, raw="second", transaction="0x2"))
    (reading,) = selling.ledger.batches(HERE)
    kept = [(each.number, each.attempt, each.raw, each.transaction) for each in reading.attempts]
    assert kept == [(1, 1, "first", "0x1"), (1, 2, "second", "0x2")]


def test_attempts_are_numbered_without_gaps(selling):
    number = opened(selling, submitted=False)
    for wrong in (0, 2):
        refused(selling, selling.submit(number, wrong))
    selling.given(selling.submit(number, 1))
    for wrong in (0, 1, 3):
        answer = refused(selling, selling.submit(number, wrong, raw="another"))
        assert (answer.reason, answer.facts["detail"]) == (Reason.malformed, "the next attempt is 2")
    selling.given(selling.submit(number, 2))
    refused(selling, selling.submit(number, 2, raw="another"))


def test_attempts_of_each_batch_count_from_1(selling):
    opened(selling)
    second = opened(selling, submitted=False)
    refused(selling, selling.submit(second, 2))
    selling.given(selling.submit(second, 1))


def test_a_reorganised_batch_is_committed_again(selling):
    """Its receipt vanished and came back in another block."""
    number = opened(selling)
    selling.given(selling.commit(number, block=5), selling.commit(number, block=8))
    (reading,) = selling.ledger.batches(HERE)
    assert (reading.state, reading.block) == ("committed", 8)


def test_a_doubt_is_resolved_by_reading_the_chain(selling):
    """Unknown, then found: committed, confirmed or failed. The payouts stay due all the while."""
    for number, end in ((1, "commit"), (2, "confirm"), (3, "fail")):
        assert opened(selling) == number
        selling.given(selling.doubt(number, reason="no answer"))
        assert states(selling) == {number: "unknown"}
        assert selling.money("due") == 10
        selling.given(getattr(selling, end)(number))
        if end == "commit":
            assert states(selling) == {number: "committed"}
            selling.given(selling.confirm(number))
    assert selling.money("due") == 0


def test_an_unknown_batch_may_be_sent_again(selling):
    """The same batch, by another attempt: the chain takes a number once."""
    number = opened(selling)
    selling.given(selling.doubt(number), selling.submit(number, 2), selling.commit(number), selling.confirm(number))
    assert selling.money("settled") == 10


def test_no_new_batch_stands_for_one_that_is_unknown(selling):
    """Its payouts count as paid until it is known to have failed."""
    number = opened(selling)
    selling.given(selling.doubt(number))
    selling.opens_nothing()
    assert selling.payouts(earn(selling, 10).opens()) == {"acme": 90, "fee": 10}


def reach(shop, state):
    """A batch in that state; its number."""
    number = opened(shop, submitted=state != "opened")
    if state == "committed":
        shop.given(shop.commit(number))
    if state == "unknown":
        shop.given(shop.doubt(number))
    assert states(shop)[number] == state
    return number


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("opened", "submit"),
        ("submitted", "commit"),
        ("submitted", "confirm"),  # a chain without a challenge window records and executes at once
        ("submitted", "fail"),
        ("submitted", "doubt"),
        ("committed", "confirm"),
        ("committed", "fail"),  # challenged, or cancelled
        ("committed", "doubt"),
        ("unknown", "commit"),
        ("unknown", "confirm"),
        ("unknown", "fail"),
        ("opened", "fail"),  # refused by the simulation, before anything was signed
        ("opened", "commit"),  # the log was restored from before the send, and the chain has this very batch
        ("opened", "confirm"),
    ],
)
def test_what_a_chain_may_say_is_taken_in(selling, state, step):
    number = reach(selling, state)
    selling.given(getattr(selling, step)(number))


STEPS = ("submit", "commit", "confirm", "fail", "doubt")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("end", ["confirm", "fail"])
def test_commands_about_a_closed_batch_are_refused_and_change_nothing(selling, end, step):
    number = opened(selling)
    selling.given(getattr(selling, end)(number, **({"used": True} if end == "fail" else {})))
    refused(selling, getattr(selling, step)(number))
    opened(selling)
    refused(selling, getattr(selling, step)(number))
    assert states(selling) == {2: "submitted"}


@pytest.mark.parametrize("step", STEPS)
def test_commands_about_an_unknown_batch_are_refused_and_change_nothing(selling, step):
    """There is no batch at all; there is none of that number; there is one, but on another contract or chain."""
    command = getattr(selling, step)
    refused(selling, command(1))
    opened(selling, submitted=False)
    for number in (0, 2):
        refused(selling, command(number))
    refused(selling, command(1, contract="other"))
    refused(selling, command(1, chain="mock:away"))


# -- the line ----------------------------------------------------------------------------------------------------------


def test_a_second_batch_waits_until_the_first_was_submitted(selling):
    opened(selling, submitted=False)
    answer = earn(selling).refuses(selling.open_batch(), Reason.batch_open)
    assert answer.http_status == 409
    selling.given(selling.submit(1))
    assert selling.opens().batch.number == 2


def test_a_third_batch_waits_for_the_second(selling):
    opened(selling)
    opened(selling, submitted=False)
    earn(selling).refuses(selling.open_batch(), Reason.batch_open)


def test_a_doubt_does_not_stand_for_a_submission(selling):
    """Nothing was ever sent of the first batch, whatever is doubted of it: the second waits."""
    opened(selling, submitted=False)
    selling.ledger.execute(selling.doubt(1))
    earn(selling).refuses(selling.open_batch(), Reason.batch_open)


def test_a_refused_opening_writes_nothing_that_is_due(selling):
    """Bob's gift has expired, and stays unwritten."""
    selling.given(selling.gift(5, subscriber="bob", expiry=100))
    opened(selling, submitted=False)
    earn(selling).at(200).refuses(selling.open_batch(), Reason.batch_open)


def test_ten_batches_are_in_line_and_an_eleventh_is_refused(selling):
    for number in range(1, 11):
        assert opened(selling) == number
    assert earn(selling).refuses(selling.open_batch(), Reason.batch_open).http_status == 409
    selling.given(selling.commit(1))
    selling.refuses(selling.open_batch(), Reason.batch_open)
    selling.given(selling.confirm(1))
    assert selling.opens().batch.number == 11
    assert list(states(selling)) == list(range(2, 12))


def test_a_line_is_of_one_asset_one_contract_and_one_chain(shop):
    """Ten of USD are in line here; EUR here, and USD on another contract or chain, have lines of their own."""
    places = [{"contract": "other"}, {"chain": "mock:away"}]
    shop.given(shop.plan(), shop.deposit("1"), shop.plan("euro", asset="EUR"), shop.deposit("2", plan="euro"))
    for place in places:
        shop.given(shop.deposit("3", subscriber="bob", **place))
    for _ in range(10):
        opened(shop)
    earn(shop).refuses(shop.open_batch(), Reason.batch_open)
    shop.given(shop.charge_directly(3, plan="euro"), shop.charge_directly(150, subscriber="bob"))
    assert shop.opens("EUR").batch.number == 11
    assert [shop.opens(**place).batch.number for place in places] == [1, 1]


def test_another_asset_does_not_wait_for_a_batch_that_was_not_submitted(shop):
    shop.given(shop.plan(), shop.deposit("1"), shop.plan("euro", asset="EUR"), shop.deposit("2", plan="euro"))
    opened(shop, submitted=False)
    shop.given(shop.charge_directly(3, plan="euro"))
    assert shop.opens("EUR").batch.number == 2


def test_batches_are_confirmed_in_order(selling):
    for _ in range(3):
        opened(selling)
    for early in (2, 3):
        refused(selling, selling.confirm(early))
    selling.given(selling.commit(2), selling.commit(1))
    refused(selling, selling.confirm(2))
    selling.given(selling.confirm(1))
    refused(selling, selling.confirm(3))
    selling.given(selling.confirm(2), selling.confirm(3))
    assert (states(selling), selling.money("settled")) == ({}, 30)


def test_the_order_is_the_contracts_whatever_the_asset(shop):
    shop.given(shop.plan(), shop.deposit("1"), shop.plan("euro", asset="EUR"), shop.deposit("2", plan="euro"))
    opened(shop)
    shop.given(shop.charge_directly(3, plan="euro"))
    shop.opens("EUR")
    shop.given(shop.submit(2))
    refused(shop, shop.confirm(2))
    shop.given(shop.confirm(1), shop.confirm(2))
    assert (shop.money("settled"), shop.money("settled", "EUR")) == (10, 30)


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_number_used_on_the_chain_stays_used(selling):
    opened(selling)
    selling.given(selling.fail(1, used=True, reason="challenged"))
    failed = selling.wrote[-1].event
    assert (tag(failed), failed.used, failed.reason) == ("settlement_failed", True, "challenged")
    assert selling.opens().batch.number == 2


def test_a_number_that_never_got_to_the_chain_is_given_out_again(selling):
    opened(selling)
    selling.given(selling.fail(1))
    reading = selling.opens()
    assert (reading.batch.number, reading.batch.previous, reading.attempts) == (1, "", ())


def test_a_number_given_out_again_builds_on_the_last_one_that_stands(selling):
    first = earn(selling).settles()
    opened(selling)
    selling.given(selling.fail(2))
    reading = selling.opens()
    assert (reading.batch.number, reading.batch.previous) == (2, first.digest)


def test_later_batches_build_on_a_number_that_stays_used(selling):
    """The second was open when the first was cancelled, and is confirmed; the third pays for the first."""
    opened(selling)
    opened(selling)
    selling.given(selling.fail(1, used=True))
    assert states(selling) == {2: "submitted"}
    selling.given(selling.commit(2), selling.confirm(2))
    third = selling.opens()
    assert (third.batch.number, selling.payouts(third)) == (3, {"acme": 9, "fee": 1})
    assert selling.counters(third) == {("alice", "pro"): (20, 0)}


def test_later_batches_fail_with_one_whose_number_is_given_out_again(selling):
    """All three fail, each by an event of its own, and the next batch, number 1 again, pays what all of them would."""
    for _ in range(3):
        opened(selling)
    selling.given(selling.fail(1, reason="nonce stolen"))
    failed = [(tag(entry.event), entry.event.number, entry.event.used) for entry in selling.wrote]
    assert sorted(failed) == [("settlement_failed", number, False) for number in (1, 2, 3)]
    assert (states(selling), selling.money("due"), selling.money("deferred")) == ({}, 0, 1000)
    reading = selling.opens()
    assert (reading.batch.number, selling.payouts(reading)) == (1, {"acme": 27, "fee": 3})


def test_a_number_used_on_the_chain_is_not_given_out_again_with_an_earlier_one(selling):
    """The chain has the third, and takes numbers in order: the first cannot be said never to have got there, or at
    least the third's number is not the next batch's third."""
    for _ in range(3):
        opened(selling)
    selling.given(selling.fail(3, used=True))
    selling.ledger.execute(selling.fail(1))
    for _ in range(3):
        assert opened(selling) != 3


def test_earlier_batches_stand_when_a_later_number_is_given_out_again(selling):
    for _ in range(3):
        opened(selling)
    selling.given(selling.fail(2))
    assert states(selling) == {1: "submitted"}
    first = selling.ledger.batches(HERE)[0]
    reading = selling.opens()
    assert (reading.batch.number, reading.batch.previous) == (2, first.digest)
    assert selling.payouts(reading) == {"acme": 18, "fee": 2}


def test_batches_of_other_assets_fail_with_one_whose_number_is_given_out_again(shop):
    """They are in the same contract's line of numbers. Batches of another contract stand."""
    shop.given(shop.plan(), shop.deposit("1"), shop.plan("euro", asset="EUR"), shop.deposit("2", plan="euro"))
    shop.given(shop.deposit("3", subscriber="bob", contract="other"), shop.charge_directly(1, subscriber="bob"))
    shop.opens(contract="other")
    opened(shop)
    shop.given(shop.charge_directly(3, plan="euro"))
    shop.opens("EUR")
    shop.given(shop.fail(1))
    assert states(shop) == {}
    assert [each.batch.number for each in shop.ledger.batches(ContractRef("mock:local", "other"))] == [1]
    assert (shop.money("due", "EUR"), shop.money("due")) == (0, 10)
    euros, dollars = shop.opens("EUR"), shop.opens()
    assert (euros.batch.number, shop.payouts(euros)) == (1, {"acme": 27, "fee": 3})
    assert (dollars.batch.number, shop.payouts(dollars)) == (2, {"acme": 9, "fee": 1})


def test_a_batch_that_failed_unsubmitted_lets_the_next_one_open(selling):
    """The simulation refused it: nothing was signed."""
    opened(selling, submitted=False)
    selling.given(selling.fail(1, reason="overspends"))
    assert earn(selling).opens().batch.number == 1


def test_a_failed_batch_leaves_the_line(selling):
    for _ in range(10):
        opened(selling)
    selling.given(selling.fail(10))
    assert earn(selling).opens().batch.number == 10


def test_a_batch_given_out_again_has_attempts_that_count_from_1(selling):
    opened(selling)
    selling.given(selling.submit(1, 2), selling.fail(1))
    selling.opens()
    refused(selling, selling.submit(1, 3))
    selling.given(selling.submit(1, 1, raw="new"))
