"""The chain conformance suite passes what is right and names what is wrong. Each bad chain has one planted fault."""

import sys
import tomllib
from collections.abc import Callable
from inspect import signature
from itertools import count
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import bad_chains
import bad_contracts
import bad_facts
import bad_plugins
import pytest

from chains.mock import MockChain, MockPlugin
from chains.testing import (
    RULES,
    ConformanceError,
    Elsewhere,
    Harness,
    NotTried,
    Subject,
    UnusableHarness,
    check,
    determinism,
)
from chains.testing.__main__ import main
from chains.testing.mock_harness import MockHarness
from ledger.errors import ChainUnavailable
from ledger.plugins import Chain, ChainPlugin, chains
from ledger.testing.conformance import Failure

BAD = [
    kind
    for module in (bad_chains, bad_contracts, bad_facts, bad_plugins)
    for kind in vars(module).values()
    if isinstance(kind, type) and kind.__module__ == module.__name__ and getattr(kind, "breaks", None)
]

OPENED: list[MockChain] = []


def in_memory(_: Path, **how: Any) -> MockHarness:
    def connect() -> MockChain:
        OPENED.append(MockChain(**how))
        return OPENED[-1]

    return MockHarness(connect, finality=how.get("finality", 2), window=how.get("window", 0))


def in_a_file(folder: Path, **how: Any) -> MockHarness:
    """Each connection is made from the path alone."""
    numbers, places = count(), {}

    def connect(place: Path) -> MockChain:
        chain = MockChain(place, **how)
        places[chain] = place
        return chain

    return MockHarness(
        lambda: connect(folder / f"{next(numbers)}.mock"), lambda chain: connect(places[chain]), window=how["window"]
    )


SUBJECTS: dict[str, Callable[[Path], MockHarness]] = {
    "memory": in_memory,
    "memory with a window": lambda _: in_memory(_, window=3),
    "memory that mines when asked": lambda _: in_memory(_, window=1, automine=False),
    "memory, final five blocks deep": lambda _: in_memory(_, finality=5),
    "memory, final at once": lambda _: in_memory(_, finality=0),
    "file": lambda folder: in_a_file(folder, window=0),
    "file with a window": lambda folder: in_a_file(folder, window=2, automine=False),
}


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("rule", RULES)
def test_the_mock_conforms(rule: str, subject: str, tmp_path: Path) -> None:
    for _, reason in check(SUBJECTS[subject](tmp_path), rule):
        pytest.skip(reason)


@pytest.mark.smoke
def test_what_is_not_tried_of_the_mock_is_what_it_cannot_have() -> None:
    assert check(MockHarness(), *RULES) == [
        NotTried("a cancelled batch pays nothing", "the contract has no challenge window (`window`)")
    ]
    with_window = MockHarness(lambda: MockChain(window=1), window=1)
    assert check(with_window, "a cancelled batch pays nothing") == []


@pytest.mark.parametrize(
    ("kind", "rule"),
    [(kind, rule) for kind in BAD for rule in kind.breaks],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_a_planted_fault_is_found_and_said(kind: Any, rule: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check(bad_chains.harness_of(kind), rule)
    assert caught.value.rules == [rule]
    assert any(kind.breaks[rule] in failure.detail for failure in caught.value.failures), str(caught.value)


def test_every_rule_has_a_chain_that_breaks_it() -> None:
    assert {rule for kind in BAD for rule in kind.breaks} == set(RULES)


class Least(MockHarness):
    """A harness with all that every harness has, and nothing more."""

    claim = Harness.claim
    request_exit = Harness.request_exit
    leave = Harness.leave
    cancel = Harness.cancel
    lose = Harness.lose
    steal_nonce = Harness.steal_nonce
    purchase_window = Harness.purchase_window
    purchase_elsewhere = Harness.purchase_elsewhere
    namesake = Harness.namesake
    cut_off = Harness.cut_off

    def __init__(self) -> None:
        super().__init__(lambda: MockChain(window=1), window=1)
        self.depth = self.pauses = 0
        self.publishes = False


def test_what_a_harness_lacks_is_reported_as_not_tried() -> None:
    assert dict(check(Least(), *RULES)) == {
        "ids survive a reorganisation": "the harness cannot reorganise (`depth` is 0)",
        "windows of time are exact": "the harness has no `purchase_window`",
        "a request to leave is reported once": "the harness has no `request_exit`",
        "a subscriber leaves by proof": "the harness has no `request_exit`",
        "an exit needs a request": "the harness has no `leave`",
        "the last root after a request serves": "the harness has no `request_exit`",
        "what a leaver took is spent": "the harness has no `request_exit`",
        "a leaving subscriber buys no more": "the harness has no `request_exit`",
        "a pause makes progress": "blocks do not come by themselves (`pauses` is 0)",
        "the leaf file is published": "the chain publishes no leaf files (`publishes`)",
        "chains of other names are others": "the harness has no `namesake`",
        "what was claimed is spent": "the harness has no `claim`",
        "each asset has its own dues": "the harness has no `purchase_elsewhere`",
        "a claim takes what is due": "the harness has no `claim`",
        "what was claimed is reported": "the harness has no `claim`",
        "a cancelled batch pays nothing": "the harness has no `cancel`",
        "what is final stays": "the harness cannot reorganise (`depth` is 0)",
        "a reorganised batch pays once": "the harness cannot reorganise (`depth` is 0)",
        "a batch that comes back pays once": "the harness cannot reorganise (`depth` is 0)",
        "money that is gone is not paid out": "the harness cannot reorganise (`depth` is 0)",
        "a lost transaction is sent again": "the harness has no `lose`",
        "a stolen nonce is given up for good": "the harness has no `steal_nonce`",
        "a chain that is cut off says so": "the harness has no `cut_off`",
        "a reorganisation on the way pays once": "the harness cannot reorganise (`depth` is 0)",
        "what was granted early can be taken back": "the harness cannot reorganise (`depth` is 0)",
        "who leaves has the rest": "the harness has no `request_exit`",
        "the last one leaves with the rest": "the harness has no `claim`",
    }


def test_a_rule_that_is_broken_before_the_harness_lacks_something_is_broken() -> None:
    class Open(MockChain):
        def due(self, receiver: str, asset: str) -> int:
            return 0

    harness = MockHarness(Open)
    harness.claim = Harness.claim.__get__(harness)  # type: ignore[method-assign]
    with pytest.raises(ConformanceError, match="what is due in two assets"):
        check(harness, "each asset has its own dues")


def test_a_chain_that_lacks_a_method_is_not_excused_as_a_harness_that_does() -> None:
    class Unfinished(MockChain):
        def due(self, receiver: str, asset: str) -> int:
            raise NotImplementedError

    with pytest.raises(ConformanceError, match="it raised NotImplementedError"):
        check(MockHarness(Unfinished), "what is due is signed")


def test_amounts_beyond_128_bits_need_no_money() -> None:
    harness = bad_chains.harness_of(bad_contracts.CountsIn128Bits)
    harness.purse = Harness.purse
    with pytest.raises(ConformanceError, match=f"what is due after a payout of -{2**130 + 1}: -{2**127}, not -"):
        check(harness, "large amounts are paid exactly")


def test_a_harness_promises_what_subscribers_can_pay() -> None:
    harness = MockHarness()
    for purse in (Harness.purse, MockHarness.purse):
        harness.purse = purse
        price = sum(Subject(harness).terms(1).values())
        assert min(Subject(harness).terms(1).values()) > 2**64
        assert purse // 32 < price <= purse // 15


def nowhere() -> MockChain:
    raise ChainUnavailable("no route to host")


def test_a_contract_that_cannot_be_had_later_breaks_the_rules_that_need_it() -> None:
    left = [MockChain()]
    with pytest.raises(ConformanceError) as caught:
        check(MockHarness(lambda: left.pop() if left else nowhere()), "facts are exact", "a batch pays once")
    said = "`fresh` raised ChainUnavailable: no route to host (check the connection to the chain, and run again)"
    assert caught.value.failures == (Failure("a batch pays once", said),)


class NoAsset(Harness):
    plugin, subscribers, plans, receivers = MockPlugin(), ("alice", "bob"), ("small", "large"), ("seller", "platform")
    elsewhere = MockHarness.elsewhere


def changed(**changes: Any) -> MockHarness:
    harness = MockHarness()
    for name, value in changes.items():
        setattr(harness, name, value)
    return harness


@pytest.mark.parametrize(
    ("harness", "said"),
    [
        (MockHarness, "MockHarness is a class; make one of it: MockHarness()"),
        (SimpleNamespace(), "a SimpleNamespace is no Harness; subclass chains.testing.Harness"),
        (NoAsset(), "NoAsset lacks `asset`; set it as"),
        (
            type("NoBlocks", (NoAsset,), {"asset": "USD"})(),
            "NoBlocks lacks `fresh()`, `again()`, `now()`, `purchase()`, ",
        ),
        (changed(elsewhere="EUR"), "`elsewhere` lacks `chain`, `contract`, `asset`; set it to Elsewhere("),
        (changed(plugin=object()), "its plugin lacks `leaf_types`, "),
        (changed(subscribers=("alice",)), "`subscribers` is ('alice',); name two or more, all different"),
        (changed(receivers=("seller", "seller")), "`receivers` is ('seller', 'seller'); name two"),
        (changed(plans="small"), "`plans` is 'small'; name two or more"),
        (changed(asset="EUR"), "`asset` and `elsewhere.asset` are both 'EUR'; name two different ones"),
        (
            changed(elsewhere=Elsewhere("ours:else", "c", "EUR")),
            "there is no chain 'ours', for a ledger to find; inst",
        ),
        (MockHarness(nowhere), "`fresh` raised ChainUnavailable: no route to host (check the connection"),
        (changed(fresh=lambda: None), "`fresh` gives None, which is not a connection to a contract; fix that first"),
    ],
    ids=lambda part: part[:30] if isinstance(part, str) else "",
)
def test_a_harness_that_cannot_be_used_is_said_once_and_in_one_line(
    harness: Any, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UnusableHarness) as caught:
        check(harness)
    assert str(caught.value).startswith(f"the harness cannot be used: {said}")
    monkeypatch.setitem(sys.modules, "harnesses", SimpleNamespace(made=lambda: harness))  # type: ignore[arg-type]
    assert main(["harnesses:made"]) == 2
    assert capsys.readouterr().err == f"harnesses:made: {caught.value}\n"


def test_only_the_rules_of_the_whole_way_need_an_installed_plugin() -> None:
    harness = changed(elsewhere=Elsewhere("ours:elsewhere", "another", "EUR"))
    assert check(harness, "a batch pays once") == []
    with pytest.raises(UnusableHarness, match="pip install"):
        check(harness, "a batch pays once", "what was earned is paid")


def test_a_rule_that_there_is_not_is_named() -> None:
    with pytest.raises(ValueError, match=r"there is no rule 'no such rule'; see chains\.testing\.RULES"):
        check(MockHarness(), "no such rule")
    with pytest.raises(ValueError, match=r"'a batch pays twice'; did you mean 'a batch pays once'\?"):
        check(MockHarness(), "a batch pays once", "a batch pays twice")


def test_a_trial_leaves_no_connection_open(tmp_path: Path) -> None:
    OPENED.clear()
    harness = in_memory(tmp_path)
    harness.depth = 0
    check(harness, "a batch pays once", "what was earned is paid", "each fact is reported once", "what is final stays")

    def fail(chain: Chain) -> None:
        raise RuntimeError("no blocks today")

    harness.mine = fail  # type: ignore[method-assign]
    with pytest.raises(ConformanceError, match="it raised RuntimeError: no blocks today"):
        check(harness, "a batch pays once")
    assert len(OPENED) == 4
    for chain in OPENED:
        with pytest.raises(ChainUnavailable):
            chain.find(1)


@pytest.fixture
def harnesses(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A module of that name."""
    pays_twice = bad_chains.harness_of(bad_chains.PaysTwice)
    found = SimpleNamespace(
        Good=MockHarness, bad=lambda: pays_twice, WithArguments=lambda place: MockHarness(), word="harness"
    )
    monkeypatch.setitem(sys.modules, "harnesses", found)  # type: ignore[arg-type]
    return found


Output = pytest.CaptureFixture[str]


@pytest.mark.usefixtures("harnesses")
def test_the_command_says_how_much_was_tried(capsys: Output) -> None:
    assert main(["harnesses:Good", "a batch pays once"]) == 0
    assert capsys.readouterr() == ("harnesses:Good conforms: 1 of 1 rules kept\n", "")
    assert main(["harnesses:Good", "a batch pays once", "a cancelled batch pays nothing"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "not tried: a cancelled batch pays nothing: the contract has no challenge window (`window`)",
        "harnesses:Good conforms in what was tried: 1 of 2 rules kept, 1 not tried",
    ]
    assert main(["harnesses:bad", "a batch pays once", "a number is absent at first"]) == 1
    reported = capsys.readouterr()
    assert reported.err.startswith("broken: a batch pays once: what receivers have")
    assert reported.out == "harnesses:bad does not conform: 1 of 2 rules kept, 1 broken\n"


@pytest.mark.usefixtures("harnesses")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: MODULE:HARNESS"),
        (["harnesses"], "harnesses: this names no harness; write MODULE:HARNESS, such as"),
        (["harnesses:Better"], "harnesses:Better: there is no such harness: "),
        (["nowhere:Good"], "nowhere:Good: there is no such harness: No module named 'nowhere'"),
        (["harnesses:word"], "harnesses:word: word is no class or function"),
        (["harnesses:WithArguments"], "making it raised TypeError: "),
        (
            ["harnesses:Good", "a batch pays twice"],
            "there is no rule 'a batch pays twice'; did you mean 'a batch pays once'?",
        ),
        (["harnesses:Good", "--rule"], "unrecognized arguments: --rule"),
    ],
)
def test_the_command_says_what_it_cannot_do(arguments: list[str], said: str, capsys: Output) -> None:
    assert main(arguments) == 2
    reported = capsys.readouterr()
    assert said in reported.err
    assert reported.out == ""


def test_a_module_that_cannot_be_imported_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    (tmp_path / "broken_harness.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["broken_harness:Harness"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "broken_harness:Harness: broken_harness cannot be imported: ZeroDivisionError: division by zero; see -v"
    ]
    assert main(["-v", "broken_harness:Harness"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_help_is_an_answer(capsys: Output) -> None:
    assert main(["--help"]) == 0
    reported = capsys.readouterr()
    assert reported.err == ""
    assert [rule for rule in RULES if f"\n  {rule}\n" not in reported.out] == []


def test_tracebacks_are_shown_where_they_are_asked_for(harnesses: SimpleNamespace, capsys: Output) -> None:
    def fail(chain: Chain) -> None:
        raise RuntimeError("no blocks today")

    harnesses.bad = lambda: changed(mine=fail)
    assert main(["harnesses:bad", "a batch pays once"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    for option in ("-v", "--traceback"):
        assert main(["harnesses:bad", "a batch pays once", option]) == 1
        said = capsys.readouterr().err
        assert said.startswith("broken: a batch pays once: it raised RuntimeError: no blocks today\nTraceback")
        assert ", in fail\n" in said


def test_the_built_in_chains_are_the_ones_tried_here() -> None:
    assert "mock" in chains.names()


README = Path(__file__).parents[2] / "chains" / "README.md"

in_checkout = pytest.mark.skipif(not README.exists(), reason="needs the checkout, not a copy of the tests")


def readme() -> str:
    return README.read_text()


@pytest.fixture
def skeleton() -> dict[str, Any]:
    """What the code in the README defines."""
    session: dict[str, Any] = {"__name__": "readme"}
    for part in readme().split("```python\n")[1:]:
        exec(compile(part.split("```")[0], "chains/README.md", "exec"), session)
    return session


@in_checkout
def test_the_skeleton_in_the_readme_has_the_shape_of_the_protocols(skeleton: dict[str, Any]) -> None:
    for protocol, name in ((Chain, "OurChain"), (ChainPlugin, "OurPlugin")):
        for method, expected in vars(protocol).items():
            if isinstance(expected, FunctionType) and not method.startswith("_"):
                found = signature(getattr(skeleton[name], method))
                assert list(found.parameters) == list(signature(expected).parameters), method


@in_checkout
def test_the_skeleton_in_the_readme_is_as_far_as_it_goes(skeleton: dict[str, Any]) -> None:
    """Its pure half conforms; its chain is not written yet, and the suite says so."""
    assert check(skeleton["harness"], *determinism.RULES) == []
    with pytest.raises(ConformanceError, match="it raised NotImplementedError"):
        check(skeleton["harness"], "each fact is reported once")


@in_checkout
def test_the_readme_has_a_whole_pyproject() -> None:
    project = tomllib.loads(readme().split("```toml\n")[1].split("```")[0])
    assert project["project"]["entry-points"]["tollbook.chains"] == {"ours": "our_chain.plugin"}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["our_chain"]


@in_checkout
def test_the_readme_names_every_method_of_the_protocols() -> None:
    methods = [
        name
        for protocol in (Chain, ChainPlugin, Harness)
        for name in (*vars(protocol), *vars(protocol).get("__annotations__", {}))
        if not name.startswith("_")
    ]
    assert [name for name in methods if f"`{name}" not in readme()] == []
