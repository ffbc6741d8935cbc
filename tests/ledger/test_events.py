"""Every event: its golden line, which must decode for ever, and the invariants that guard both doors."""

import json
from typing import Any

import msgspec
import pytest
from golden_events import GOLDEN, HUGE, LATER, SHORTEST
from msgspec.structs import replace

from ledger import events as module
from ledger.events import EVENT_TYPES, Event, PlanRetired, Purchased, Share, Withdrawn, decode_one, encode, tag
from ledger.log import bodies

LINES = {**GOLDEN, **LATER, **SHORTEST}


def same(event: Event) -> Any:
    """An event by its fields and types, so that 1 and True are not the same."""
    return type(event), json.dumps(msgspec.to_builtins(event))


# -- what is stored ----------------------------------------------------------------------------------------------------


def test_every_event_has_one_golden_line_in_the_order_of_the_families() -> None:
    assert [type(event) for event in GOLDEN.values()] == list(EVENT_TYPES)


@pytest.mark.smoke
@pytest.mark.parametrize("line", LINES, ids=lambda line: json.loads(line)["type"])
def test_a_golden_line_decodes_for_ever(line: bytes) -> None:
    event = LINES[line]
    assert decode_one(line) == event
    assert same(decode_one(line)) == same(event)
    assert encode(event) == line


def test_golden_lines_together_are_the_body_of_a_commit() -> None:
    assert bodies.decode(bodies.TEXT, b"[" + b",".join(GOLDEN) + b"]") == list(GOLDEN.values())
    assert encode(list(GOLDEN.values())) == b"[" + b",".join(GOLDEN) + b"]"


def test_the_golden_lines_of_an_event_show_every_field_of_its_own() -> None:
    """So that a field that is renamed or retyped breaks a line. A trial has no price, so it has a line of its own."""
    unseen = {("plan_created", "trial"), ("purchased", "kind"), ("adjusted", "period")}
    for event in GOLDEN.values():
        own = set(event.__struct_fields__) - {"key", "fingerprint"}
        shown = {
            name for line, other in (GOLDEN | LATER).items() if type(other) is type(event) for name in json.loads(line)
        }
        defaults = unseen | ({("agent_updated", name) for name in own} if tag(event) == "agent_updated" else set())
        assert {(tag(event), name) for name in own - shown} <= defaults


def test_a_trial_and_the_kinds_of_lots_decode_for_ever() -> None:
    trial = SHORTEST_OF["plan_created"].replace(b',"tariff"', b',"trial":true,"tariff"')
    assert decode_one(trial) == replace(SHORTEST[SHORTEST_OF["plan_created"]], trial=True)
    for kind in ("trial", "gift"):
        line = SHORTEST_OF["purchased"].replace(b',"credits"', b',"kind":"%s","credits"' % kind.encode())
        assert decode_one(line) == replace(SHORTEST[SHORTEST_OF["purchased"]], kind=kind)
        assert encode(decode_one(line)) == line
    direct = SHORTEST_OF["purchased"].replace(b"}", b',"funding":"direct"}')
    assert decode_one(direct) == replace(SHORTEST[SHORTEST_OF["purchased"]], funding="direct")


SHORTEST_OF = {json.loads(line)["type"]: line for line in SHORTEST}


@pytest.mark.parametrize("event", EVENT_TYPES, ids=tag)
def test_type_is_the_first_key_and_a_word(event: type[Event]) -> None:
    line = encode(next(golden for golden in GOLDEN.values() if type(golden) is event))
    assert next(iter(json.loads(line))) == "type"
    assert line.startswith(b'{"type":"%s"' % tag(event).encode())
    assert tag(event).replace("_", "").isalpha()
    assert tag(event).islower()
    assert tag(event) != event.__name__


def test_no_two_events_share_a_word() -> None:
    assert len({tag(event) for event in EVENT_TYPES}) == len(EVENT_TYPES)


@pytest.mark.parametrize("event", EVENT_TYPES, ids=tag)
def test_every_event_is_documented_where_it_stands(event: type[Event]) -> None:
    own = vars(event).get("__doc__")
    assert own
    assert own.rstrip().endswith(".")
    assert event.__module__.startswith(f"{module.__name__}.")


def test_every_event_that_the_module_has_is_in_the_union() -> None:
    """A class without a tag is no event but a part of several."""
    made = {thing for thing in vars(module).values() if isinstance(thing, type) and issubclass(thing, Event)}
    own = {thing for thing in made if thing.__struct_config__.tag not in (thing.__name__, None)}
    assert own == set(EVENT_TYPES)


@pytest.mark.parametrize("event", EVENT_TYPES, ids=tag)
def test_an_event_cannot_be_changed(event: type[Event]) -> None:
    golden = next(golden for golden in GOLDEN.values() if type(golden) is event)
    with pytest.raises(AttributeError):
        golden.key = "other"  # type: ignore[misc]


def test_money_has_any_size_and_survives() -> None:
    for amount in (2**63, 2**64, HUGE, 10**300):
        event = Purchased(account=1, subscriber="s", plan="p", credits=1, cost=amount, shares=(Share("o", amount),))
        assert decode_one(encode(event)) == event
        assert json.loads(encode(event))["cost"] == amount
        gone = Withdrawn(account=1, money={2: amount})
        assert decode_one(encode(gone)) == gone


def test_text_of_every_script_survives() -> None:
    name = 'é 中 \U0001f980 \u202e \0 " \\ \u2028'
    event = Purchased(account=1, subscriber=name, plan="p", credits=1)
    assert decode_one(encode(event)) == event


def test_what_is_unknown_is_an_error_and_not_a_guess() -> None:
    for line in (b'{"type":"bought"}', b'{"plan":"p"}', b"[]", b'{"type":"plan_retired"}', b"{"):
        with pytest.raises(msgspec.DecodeError):
            decode_one(line)


def test_a_field_of_a_later_release_is_passed_over() -> None:
    """Schemas only grow, and what is new has a default: an older reader need not know it."""
    assert decode_one(b'{"type":"plan_retired","plan":"p","why":"sold out"}') == PlanRetired(plan="p")
