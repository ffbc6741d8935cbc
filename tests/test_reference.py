"""docs/reference/ is what the code says, the code says something of everything, and its examples run."""

import ast
import re
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from msgspec import inspect as shapes

import ledger as room
from ledger import Charge, Ledger, Purchase, Terms, Tick
from ledger.commands import COMMAND_TYPES, Command
from ledger.decisions.refusal_facts import _BUYABLE, _PASSING
from ledger.described import WIDTH, describe, docs
from ledger.events import EVENT_TYPES, Escrow, EscrowFunding, Event
from ledger.plugins import chain_plugin
from ledger.refusals import Reason
from ledger.settlement.messages import Batch

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "docs" / "reference.py"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="the pages are not beside a copy of the tests")


def reference() -> ModuleType:
    spec = spec_from_file_location("reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STRUCTS = [*COMMAND_TYPES, *EVENT_TYPES, *(reference().values() if SCRIPT.exists() else ())]


def test_the_pages_are_what_the_code_says():
    written = {path.name: path.read_text() for path in SCRIPT.with_suffix("").glob("*")}
    expected = reference().pages()
    stale = [name for name in {*written, *expected} if written.get(name) != expected.get(name)]
    assert stale == [], "run: python docs/reference.py"


def test_each_link_of_the_pages_leads_to_a_heading():
    pages = reference().pages()
    anchors = {
        f"{name}#{heading.lower().replace(' ', '-')}"
        for name, text in pages.items()
        for heading in re.findall(r"^## (.*)$", text, re.MULTILINE)
    }
    linked = {link for text in pages.values() for link in re.findall(r"\((\w+\.md#[^)]*)\)", text)}
    assert linked <= anchors


# -- fields ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_every_field_has_a_text_and_every_text_a_field(kind):
    known = docs(kind).fields
    assert set(known) == set(kind.__struct_fields__)
    for name, text in known.items():
        assert re.fullmatch(r"[\"A-Z|].*\.", text), f"{name}: {text}"


@pytest.mark.parametrize("root", [Command, Event])
def test_what_a_base_says_of_fields_is_of_fields_that_there_are(root):
    def family(kind: type) -> Iterator[type]:
        yield kind
        for below in kind.__subclasses__():
            yield from family(below)

    for base in family(root):
        used = {name for below in family(base) for name in below.__struct_fields__}
        assert set(docs(base).shared) | set(docs(base).fields) <= used, base


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_the_text_of_a_closed_list_has_each_of_its_words(kind):
    for field in shapes.type_info(kind).fields:
        for shape in (field.type, *getattr(field.type, "types", ())):
            for word in getattr(shape, "values", ()):
                assert f'"{word}"' in docs(kind).fields[field.name], field.name


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_help_fits_a_terminal_and_shows_each_default(kind):
    assert max(map(len, kind.__doc__.splitlines())) <= WIDTH
    required = {field.encode_name for field in msgspec.structs.fields(kind) if field.required}
    assert {name for name in docs(kind).fields if f"\n    {name}: " in kind.__doc__} == required


def test_a_docstring_is_completed_from_the_bases_of_a_class():
    class Base(msgspec.Struct, kw_only=True):
        """A base.

        Fields:
            key: Name.

        Shared fields:
            size: Number of units.
        """

        key: str = ""

    class Given(Base, kw_only=True):
        """A command.

        Fields:
            tags: Words.

        Example:
            Given(size=1)
        """

        size: int
        tags: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it

    describe(Given)
    assert Given.__doc__ == (
        "A command.\n\nFields:\n    size: Number of units.\n    tags (default {}): Words.\n"
        '    key (default ""): Name.\n\nExample:\n    Given(size=1)'
    )
    assert docs(Given).fields == {"size": "Number of units.", "tags": "Words.", "key": "Name."}


# -- refusals and policies ---------------------------------------------------------------------------------------------


def facts_of(call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        shown = ast.unparse(keyword.value)
        if keyword.arg is not None:
            yield keyword.arg
        elif shown == "facts":  # in `adjustments`, with or without a detail
            yield from ("needed", "available", "detail")
        else:
            assert shown == "shown_with(plan)"  # the fact `decimals`


def test_each_refusal_is_documented_with_its_facts():
    found: dict[str, set[str]] = {str(reason): set() for reason in Reason}
    for path in (ROOT / "ledger").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Refusal", "Refused") and node.args:
                reason = ast.unparse(node.args[0]).removeprefix("Reason.")
                if reason in found:
                    found[reason] |= set(facts_of(node))
    found["overflow"].add("detail")  # of prices, by a name that is no literal
    found["malformed"].add("detail")
    for reason in _BUYABLE:
        found[reason].add("top_up")
    for reason in _PASSING:
        found[reason].add("retry_after_us")
    documented = {
        reason: set(text.partition("Facts: ")[2].rstrip(".").split(", ")) - {""}
        for reason, text in docs(Reason).fields.items()
    }
    assert list(documented) == [str(reason) for reason in Reason]
    assert documented == found


@pytest.mark.parametrize("policy", reference().policies() if SCRIPT.exists() else (), ids=lambda policy: policy.name)
def test_every_parameter_of_a_policy_has_a_text(policy):
    for name, field in policy.accepts.model_fields.items():
        assert re.fullmatch(r"[\"A-Z].*\.", field.description), name


# -- examples ----------------------------------------------------------------------------------------------------------

DAY = 86_400 * 1_000_000
CHAIN = "mock:local"


class Shop:
    """A ledger on which examples run, at a time that is set, with the answers that later ones name."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000
        self.ledger = Ledger.open(":memory:", clock=lambda: self.now)
        self.names: dict[str, Any] = {**vars(room)}

    def run(self, kind: type[Command]) -> None:
        body = ast.parse(docs(kind).example).body
        assert body, f"{kind.__name__} has no example"
        for each in body:
            command = eval(ast.unparse(each), self.names)
            assert type(command) is kind
            answer = self.ledger.execute(command).unwrap()
            self.names.setdefault(kind.__name__.lower(), answer)

    def invoice(self) -> None:
        """Use the postpaid plan, and let the month end."""
        self.ledger.execute(Charge(subscriber="carol", plan="payg", usage={"calls": 1})).unwrap()
        self.now += 40 * DAY
        self.ledger.execute(Tick()).unwrap()

    def sell_on_chain(self) -> None:
        """Sell on a chain, and earn some of it."""
        funding = EscrowFunding(Escrow(CHAIN, "tollbook", "sale-1"))
        terms = Terms(asset="USD", shares={"acme": 9_50, "platform": 50}, credits=1_000_00)
        self.ledger.execute(Purchase(subscriber="bob", plan="pro", funding=funding, terms=terms)).unwrap()
        self.ledger.execute(Charge(subscriber="bob", plan="pro", usage={"output_tokens": 100_000})).unwrap()

    def lose_a_batch(self) -> None:
        """Make the batch of another log with this log's id, as after a backup was restored."""
        self.names["published"] = batch = Batch(
            ledger=self.ledger.id,
            chain=CHAIN,
            contract="tollbook",
            number=1,
            asset="USD",
            at=self.now,
            covers={"main": 9},
            head_seq=9,
            head_hash="00",
            previous="",
            leaves=(room.Leaf("bob", "pro", 500, 0),),
            payouts=(room.Payout("acme", 500),),
        )
        self.names["found"] = chain_plugin(CHAIN).commitment(batch)


STORIES: list[list[type[Command] | Callable[[Shop], None]]] = [
    [room.CreatePlan, room.RegisterAgent, room.UpdateAgent, room.RetireAgent, room.RepricePlan, room.RetirePlan],
    [room.CreatePlan, Purchase, room.Give, room.Withdraw, room.Reverse, room.Reinstate, room.Freeze, room.Unfreeze],
    [room.CreatePlan, Purchase, room.Request, room.Extend, Charge, room.Adjust],
    [room.CreatePlan, Purchase, room.Request, room.Release, Tick],
    [room.CreatePlan, room.Subscribe, Shop.invoice, room.PayInvoice],
    [room.CreatePlan, room.Subscribe, Shop.invoice, room.WriteOff],
    [room.CreatePlan, Shop.sell_on_chain, room.Exit],
    [
        *(room.CreatePlan, Shop.sell_on_chain),
        *(room.OpenSettlement, room.SubmitSettlement, room.CommitSettlement, room.ConfirmSettlement),
    ],
    [
        *(room.CreatePlan, Shop.sell_on_chain),
        *(room.OpenSettlement, room.SubmitSettlement, room.MarkSettlementUnknown, room.FailSettlement),
    ],
    [room.CreatePlan, Shop.lose_a_batch, room.AdoptSettlement],
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[-1].__name__)
def test_the_examples_of_commands_run(story):
    shop = Shop()
    for step in story:
        if isinstance(step, type):
            shop.run(step)
        else:
            step(shop)


def test_every_command_has_an_example_that_runs():
    assert {step for story in STORIES for step in story if isinstance(step, type)} == set(COMMAND_TYPES)
