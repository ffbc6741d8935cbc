"""The chain conformance suite passes what is right and names what is wrong. Each bad chain has one planted fault."""

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from itertools import count
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from chains.conformance import RULES, Bench, ConformanceError, NotTried, check, pure
from chains.conformance.__main__ import main
from chains.conformance.example import MockBench
from chains.mock import MockChain
from ledger.conformance import Failure
from ledger.errors import ChainUnavailable
from ledger.plugins import Chain, ChainPlugin, chains

# In this import mode test files cannot import their neighbours.
_spec = spec_from_file_location("bad_chains", Path(__file__).with_name("bad_chains.py"))
assert _spec is not None
assert _spec.loader is not None
bad_chains = sys.modules["bad_chains"] = module_from_spec(_spec)
_spec.loader.exec_module(bad_chains)

OPENED: list[MockChain] = []


def in_memory(_: Path, **how: Any) -> MockBench:
    def connect() -> MockChain:
        OPENED.append(MockChain(**how))
        return OPENED[-1]

    return MockBench(connect, finality=how.get("finality", 2), window=how.get("window", 0))


def in_a_file(folder: Path, **how: Any) -> MockBench:
    """Each connection is made from the path alone."""
    numbers, places = count(), {}

    def connect(place: Path) -> MockChain:
        chain = MockChain(place, **how)
        places[chain] = place
        return chain

    return MockBench(
        lambda: connect(folder / f"{next(numbers)}.mock"), lambda chain: connect(places[chain]), window=how["window"]
    )


SUBJECTS: dict[str, Callable[[Path], MockBench]] = {
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
    assert check(MockBench(), *RULES) == [
        NotTried("a cancelled batch pays nothing", "the contract has no challenge window (`window`)")
    ]
    with_window = MockBench(lambda: MockChain(window=1), window=1)
    assert check(with_window, "a cancelled batch pays nothing") == []


@pytest.mark.parametrize(
    ("kind", "rule"),
    [(kind, rule) for kind in (*bad_chains.CHAINS, *bad_chains.PLUGINS) for rule in kind.breaks],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_a_planted_fault_is_found_and_said(kind: Any, rule: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check(bad_chains.bench_of(kind), rule)
    assert caught.value.rules == [rule]
    assert any(kind.breaks[rule] in failure.found for failure in caught.value.failures), str(caught.value)


def test_every_rule_has_a_chain_that_breaks_it() -> None:
    assert {rule for kind in (*bad_chains.CHAINS, *bad_chains.PLUGINS) for rule in kind.breaks} == set(RULES)


class Least(MockBench):
    """A bench with all that every bench has, and nothing more."""

    claim = Bench.claim
    request_exit = Bench.request_exit
    leave = Bench.leave
    cancel = Bench.cancel
    lose = Bench.lose
    steal_nonce = Bench.steal_nonce

    def __init__(self) -> None:
        super().__init__(lambda: MockChain(window=1), window=1)
        self.depth = self.pauses = 0
        self.publishes = False


def test_what_a_bench_lacks_is_reported_as_not_tried() -> None:
    assert dict(check(Least(), *RULES)) == {
        "ids survive a re-organisation": "the bench cannot re-organise (`depth` is 0)",
        "a request to leave is told once": "the bench has no `request_exit`",
        "a subscriber leaves by proof": "the bench has no `request_exit`",
        "access follows purchases": "the bench has no `request_exit`",
        "a pause makes progress": "blocks do not come by themselves (`pauses` is 0)",
        "the leaf file is published": "the chain leads to no leaf files (`publishes`)",
        "a claim takes what is due": "the bench has no `claim`",
        "a cancelled batch pays nothing": "the bench has no `cancel`",
        "what is final stays": "the bench cannot re-organise (`depth` is 0)",
        "a re-organised batch pays once": "the bench cannot re-organise (`depth` is 0)",
        "a batch that comes back pays once": "the bench cannot re-organise (`depth` is 0)",
        "money that is gone is not paid out": "the bench cannot re-organise (`depth` is 0)",
        "a lost transaction is sent again": "the bench has no `lose`",
        "a stolen nonce is given up for good": "the bench has no `steal_nonce`",
        "a re-organisation on the way pays once": "the bench cannot re-organise (`depth` is 0)",
        "what was granted early can be taken back": "the bench cannot re-organise (`depth` is 0)",
        "who leaves has the rest": "the bench has no `request_exit`",
    }


def test_a_rule_that_is_broken_before_the_bench_lacks_something_is_broken() -> None:
    class Open(MockChain):
        def access(self, subscriber: str, plan: str) -> bool:
            return True

    bench = MockBench(Open)
    bench.request_exit = Bench.request_exit.__get__(bench)  # type: ignore[method-assign]
    with pytest.raises(ConformanceError, match="access before any purchase"):
        check(bench, "access follows purchases")


def test_a_chain_that_lacks_a_method_is_not_excused_as_a_bench_that_does() -> None:
    class Unfinished(MockChain):
        def due(self, receiver: str, asset: str) -> int:
            raise NotImplementedError

    with pytest.raises(ConformanceError, match="it raised NotImplementedError"):
        check(MockBench(Unfinished), "what is due is signed")


def test_a_chain_that_cannot_be_reached_breaks_every_rule_that_asks_it() -> None:
    def nowhere() -> MockChain:
        raise ChainUnavailable("no route to host")

    with pytest.raises(ConformanceError) as caught:
        check(MockBench(nowhere), "a batch pays once", "facts are exact")
    assert caught.value.failures == tuple(
        Failure(rule, "it raised ChainUnavailable: no route to host (check the connection to the chain, and run again)")
        for rule in ("a batch pays once", "facts are exact")
    )


def test_a_trial_leaves_no_connection_open(tmp_path: Path) -> None:
    OPENED.clear()
    bench = in_memory(tmp_path)
    bench.depth = 0
    check(bench, "a batch pays once", "what was earned is paid", "each fact is told once", "what is final stays")

    def fail(chain: Chain) -> None:
        raise RuntimeError("no blocks today")

    bench.mine = fail  # type: ignore[method-assign]
    with pytest.raises(ConformanceError, match="it raised RuntimeError: no blocks today"):
        check(bench, "a batch pays once")
    assert len(OPENED) == 4
    for chain in OPENED:
        with pytest.raises(ChainUnavailable):
            chain.find(1)


def test_the_command_tries_a_bench_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pays_twice = bad_chains.bench_of(bad_chains.PaysTwice)
    monkeypatch.setitem(sys.modules, "benches", SimpleNamespace(Good=MockBench, bad=lambda: pays_twice))  # type: ignore[arg-type]
    assert main(["benches:Good", "a batch pays once", "a cancelled batch pays nothing"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "not tried: a cancelled batch pays nothing: the contract has no challenge window (`window`)",
        "benches:Good conforms",
    ]
    assert main(["benches:bad", "a batch pays once"]) == 1
    assert "a batch pays once: what receivers have" in capsys.readouterr().err
    assert main(["benches:Better"]) == 2
    assert main(["nowhere:Good"]) == 2
    assert main([]) == 2
    assert main(["benches:Good", "a batch pays twice"]) == 2
    assert "  a batch pays once\n" in capsys.readouterr().err


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
    assert check(skeleton["bench"], *pure.RULES) == []
    with pytest.raises(ConformanceError, match="it raised NotImplementedError"):
        check(skeleton["bench"], "each fact is told once")


@in_checkout
def test_the_readme_names_every_method_of_the_protocols() -> None:
    methods = [
        name
        for protocol in (Chain, ChainPlugin, Bench)
        for name in (*vars(protocol), *vars(protocol).get("__annotations__", {}))
        if not name.startswith("_")
    ]
    assert [name for name in methods if f"`{name}" not in readme()] == []
