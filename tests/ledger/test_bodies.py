"""Bodies of commits: the byte filter never passes over an event that it was asked for."""

import json

import pytest

from ledger.events import EVENT_TYPES, Event, Settlement, Unfrozen, tag
from ledger.log import bodies


@pytest.mark.parametrize("event", EVENT_TYPES, ids=tag)
def test_a_body_mentions_its_own_events_and_no_others(event):
    body = json.dumps([{"type": tag(event)}]).encode()
    assert bodies.mentions(bodies.TEXT, body, event)
    assert bodies.mentions(bodies.TEXT, body, Unfrozen, Event)
    strangers = [each for each in EVENT_TYPES if not issubclass(event, each)]
    assert [each for each in strangers if bodies.mentions(bodies.TEXT, body, each)] == []


def test_an_escaped_tag_is_mentioned():
    body = rb'[{"type":"\u0066rozen","account":1}]'
    assert bodies.mentions(bodies.TEXT, body, type(bodies.decode(bodies.TEXT, body)[0]))


def test_a_base_class_stands_for_all_events_derived_from_it():
    opened = json.dumps([{"type": "settlement_opened"}]).encode()
    assert bodies.mentions(bodies.TEXT, opened, Settlement)
    assert not bodies.mentions(bodies.TEXT, json.dumps([{"type": "charged"}]).encode(), Settlement)


def test_a_body_of_another_kind_may_hold_anything_and_cannot_be_read():
    assert bodies.mentions(bodies.BINARY, b"", Settlement)
    with pytest.raises(ValueError, match="does not read a body of kind 2"):
        bodies.decode(bodies.BINARY, b"")
