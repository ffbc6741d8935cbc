"""The one door for plugins: found by entry point, got by name, each name once, and clear errors for what is broken."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ledger.errors import LedgerError, UnknownPlugin
from ledger.plugins import Registry, policies, stores

REPAIR = "repair or uninstall its package; `tollbook plugins` lists what is installed"
BUILT_IN = ["complexity", "cost_plus", "graduated", "package", "per_credit", "time", "volume"]


def fresh() -> Registry[Any]:
    """A registry of stores that has loaded nothing yet."""
    return Registry("store", "tollbook.stores", "register_stores")


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_the_built_ins_come_in_by_entry_points() -> None:
    assert set(BUILT_IN) <= set(policies.names())
    assert {"memory", "sqlite"} <= set(stores.names())
    for group, module in (("tollbook.pricing", "pricing.plugin"), ("tollbook.stores", "ledger.stores.plugin")):
        assert module in {point.value for point in entry_points(group=group)}


def test_an_unknown_name_says_what_is_installed() -> None:
    with pytest.raises(UnknownPlugin, match="no store 'postgres'") as caught:
        stores.get("postgres")
    assert "memory, sqlite" in caught.value.hint
    assert caught.value.code == "unknown_plugin"
    with pytest.raises(UnknownPlugin, match="no pricing policy 'magic'") as caught:
        policies.get("magic")
    assert all(name in caught.value.hint for name in BUILT_IN)


def test_names_are_sorted() -> None:
    assert stores.names() == sorted(stores.names())
    assert policies.names() == sorted(policies.names())


def test_a_name_is_registered_once() -> None:
    registry = fresh()
    registry.register("mine", dict)
    for name in ("mine", "sqlite"):
        with pytest.raises(LedgerError, match=f"store '{name}' is registered twice"):
            registry.register(name, list)
    assert registry.get("mine") is dict


def test_what_is_registered_by_hand_stands_beside_what_is_installed() -> None:
    registry = fresh()
    registry.register("mine", dict)
    assert {"memory", "mine", "sqlite"} <= set(registry.names())
    assert "mine" not in stores.names()


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "a,b", "a=b", "-a", ".a", "a/b", "é\n", "a\n"])
def test_a_name_can_be_written_on_a_command_line(name: str) -> None:
    with pytest.raises(LedgerError, match="cannot name a store"):
        fresh().register(name, dict)


@pytest.mark.parametrize("name", ["a", "A1", "my-policy", "my_policy", "acme.flat", "2024", "_"])
def test_a_name_of_letters_digits_and_marks_will_do(name: str) -> None:
    registry = fresh()
    registry.register(name, dict)
    assert registry.get(name) is dict


# -- plugins of somebody else, installed in a folder and looked at from another process --------------------------------

GOOD = """
    from ledger.plugins import Price, hookimpl
    from ledger.stores.memory import MemoryStore

    class Flat:
        version, scope, monotone = 1, "request", True

        def __init__(self, parameters):
            self.parameters = dict(parameters)

        def total(self, usage, labels):
            return Price(self.parameters.get("credits", 3))

    @hookimpl
    def register_policies(register):
        register("acme.flat", Flat)

    @hookimpl
    def register_stores(register):
        register("acme", MemoryStore)
"""


def install(folder: Path, package: str, module: str, *groups: str, points: str | None = None) -> None:
    """What an installer leaves of a package: its module, and a dist-info with entry points."""
    (folder / f"{package}.py").write_text(dedent(module))
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        points or "".join(f"[tollbook.{group}]\n{package} = {package}\n" for group in groups)
    )


PROCESS = """
import sys

sys.path.append(sys.argv[1])
from ledger import CreatePlan, Ledger, LedgerError, Purchase, Request
from ledger.plugins import policies, stores

try:
    exec(sys.argv[2])
except LedgerError as error:
    print(f"{type(error).__name__}: {error}; {error.hint}")
"""


def run(folder: Path, program: str) -> str:
    """What the program prints with the folder on its path, or an error of ours with its hint."""
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(folder), dedent(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_plugin_that_is_installed_is_found_and_used(tmp_path: Path) -> None:
    install(tmp_path, "acme_toll", GOOD, "pricing", "stores")
    program = """
        with Ledger.open(store="acme") as ledger:
            ledger.execute(CreatePlan(plan="pro", owner="acme", credits=10, policy="acme.flat")).unwrap()
            ledger.execute(Purchase(subscriber="ann", plan="pro")).unwrap()
            print(ledger.execute(Request(subscriber="ann", plan="pro")).unwrap().event.hold)
    """
    assert run(tmp_path, program) == "3"


def test_plugins_are_loaded_when_they_are_first_asked_for(tmp_path: Path) -> None:
    install(tmp_path, "acme_toll", GOOD, "pricing", "stores")
    program = """
        before = "acme_toll" in sys.modules
        stores.names()
        print(before, "acme_toll" in sys.modules)
    """
    assert run(tmp_path, program) == "False True"


def test_a_name_that_two_packages_bring_is_neithers_and_the_rest_of_both_goes_on(tmp_path: Path) -> None:
    install(tmp_path, "one", GOOD.replace("acme.flat", "one.flat"), "pricing", "stores")
    install(tmp_path, "two", GOOD.replace("acme.flat", "two.flat"), "pricing", "stores")
    assert run(tmp_path, "print({'one.flat', 'two.flat'} <= {*policies.names()}, stores.names())") == (
        "True ['memory', 'sqlite']"
    )
    assert run(tmp_path, "stores.get('acme')") == (
        "PluginFailed: the store 'acme' of one 1.0 cannot be used: the store 'acme' is registered twice, by one 1.0 and"
        f" two 1.0; {REPAIR}"
    )


def test_a_package_cannot_take_the_name_of_a_built_in_which_keeps_it(tmp_path: Path) -> None:
    install(tmp_path, "acme_toll", GOOD.replace("register(", "register('time', Flat); register(", 1), "pricing")
    program = """
        print(policies.get("time").__module__, policies.get("acme.flat").__module__)
        print([(each.names, each.reason) for each in policies.failures()])
    """
    assert run(tmp_path, program).splitlines() == [
        "pricing.per_request acme_toll",
        "[(('time',), \"the name 'time' is that of a built-in pricing policy\")]",
    ]


def test_two_entry_points_of_one_name_are_both_loaded(tmp_path: Path) -> None:
    install(tmp_path, "one", GOOD, "pricing")
    points = "[tollbook.pricing]\none = two\n"
    install(tmp_path, "two", GOOD.replace("acme.flat", "other"), points=points)
    assert run(tmp_path, "print({'acme.flat', 'other'} <= {*policies.names()})") == "True"


BROKEN = {
    "needs what is not there": ("import a_package_that_is_not_there", "a_package_that_is_not_there"),
    "is not written in Python": ("def register_stores(register) ->", "SyntaxError"),
    "ends the process when it is imported": ("import sys; sys.exit('no licence')", "no licence"),
    "raises what has no text": (
        """
        class Wordless(Exception):
            def __str__(self):
                raise RuntimeError

        raise Wordless
        """,
        "Wordless",
    ),
    "raises when it is imported": ("raise RuntimeError('no licence')", "no licence"),
    "has a hook of another form": (
        """
        from ledger.plugins import hookimpl

        @hookimpl
        def register_stores(registry, more):
            pass
        """,
        "register_stores",
    ),
    "has a hook that nobody calls": (
        """
        from ledger.plugins import hookimpl

        @hookimpl
        def register_store(register):
            pass
        """,
        "register_store",
    ),
    "raises when it registers": (
        """
        from ledger.plugins import hookimpl

        @hookimpl
        def register_stores(register):
            raise RuntimeError("no licence")
        """,
        "no licence",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_plugin_that_is_broken_harms_itself_alone_and_using_it_says_why(tmp_path: Path, name: str) -> None:
    module, why = BROKEN[name]
    install(tmp_path, "broken_toll", module, "stores")
    install(tmp_path, "acme_toll", GOOD, "stores")
    program = """
        print(stores.names(), stores.get("sqlite").__name__)
        for name in ("broken_toll", "any"):
            try:
                stores.get(name)
            except LedgerError as error:
                print("--", f"{type(error).__name__}: {error}; {error.hint}", sep="\\n")
    """
    others, said, other = run(tmp_path, program).split("\n--\n")
    assert others == "['acme', 'memory', 'sqlite'] SQLiteStore"
    assert said.startswith("PluginFailed: the store 'broken_toll' of broken_toll 1.0 cannot be used: ")
    assert why in said
    # What would `any` have been called?
    assert other.startswith("UnknownPlugin: there is no store 'any' (not loaded: broken_toll of broken_toll 1.0: ")
    assert other.endswith("; installed are: acme, memory, sqlite")
    assert why in other


def test_one_that_is_broken_is_warned_of_once(tmp_path: Path) -> None:
    install(tmp_path, "broken_toll", "raise RuntimeError('no licence')", "stores")
    program = """
        import warnings

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stores.names()
            stores.get("sqlite")
        print(*(each.message for each in caught))
    """
    assert run(tmp_path, program) == (
        "the plugin broken_toll of broken_toll 1.0 cannot be used as a store: RuntimeError: no licence"
    )


def test_the_cause_of_a_failure_is_chained(tmp_path: Path) -> None:
    install(tmp_path, "broken_toll", "raise RuntimeError('no licence')", "stores")
    program = """
        try:
            stores.get("broken_toll")
        except LedgerError as error:
            print(repr(error.__cause__))
    """
    assert run(tmp_path, program) == "RuntimeError('no licence')"


def test_what_a_plugin_registered_before_it_failed_fails_with_it(tmp_path: Path) -> None:
    install(tmp_path, "broken_toll", GOOD + "\n        raise RuntimeError('no licence')\n", "stores")
    assert "'acme' of broken_toll 1.0 cannot be used: RuntimeError: no licence" in run(tmp_path, "stores.get('acme')")


WRONG = {
    "a name that no command line takes": ("register('a b', MemoryStore)", "a b", "cannot name a store"),
    "a name that is no text": ("register(7, MemoryStore)", "7", "cannot name a store"),
    "a store that cannot be called": ("register('mine', 7)", "mine", "cannot be a store: its type is int"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_plugin_of_a_wrong_type_fails_alone(tmp_path: Path, name: str) -> None:
    wrong, called, why = WRONG[name]
    install(
        tmp_path,
        "acme_toll",
        GOOD.replace('register("acme", MemoryStore)', f'{wrong}; register("acme", dict)'),
        "stores",
    )
    assert run(tmp_path, "print(stores.names())") == "['acme', 'memory', 'sqlite']"
    assert why in run(tmp_path, f"stores.get({called!r})")


def test_a_chain_that_lacks_a_method_is_no_chain(tmp_path: Path) -> None:
    module = """
        from ledger.plugins import hookimpl

        @hookimpl
        def register_chains(register):
            register("solana", object())
    """
    install(tmp_path, "solana_toll", module, "chains")
    said = run(
        tmp_path, "from ledger.plugins import chain_plugin; chain_plugin('mock:local'); chain_plugin('solana:1')"
    )
    assert "what it registers as 'solana' cannot be a chain: its type is object" in said


def test_an_entry_point_to_nothing_says_which(tmp_path: Path) -> None:
    points = "[tollbook.stores]\nmine = broken_toll:missing\n"
    install(tmp_path, "broken_toll", "", points=points)
    said = run(tmp_path, "stores.get('mine')")
    assert said.startswith("PluginFailed: ")
    assert "missing" in said


def test_a_package_whose_entry_points_cannot_be_read_harms_itself_alone(tmp_path: Path) -> None:
    install(tmp_path, "broken_toll", "", "stores")
    (tmp_path / "broken_toll-1.0.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe[")
    install(tmp_path, "acme_toll", GOOD, "stores")
    assert run(tmp_path, "print(stores.names(), len(stores.failures()))") == "['acme', 'memory', 'sqlite'] 1"


def test_a_broken_store_does_not_touch_the_policies(tmp_path: Path) -> None:
    install(tmp_path, "broken_toll", "import a_package_that_is_not_there", "stores")
    assert run(tmp_path, "print(policies.get('per_credit').__name__)") != ""
    assert "LedgerError" not in run(tmp_path, "policies.get('per_credit')")


def test_a_module_without_hooks_brings_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    install(tmp_path, "empty_toll", "", "stores", "pricing")
    assert run(tmp_path, "print(policies.names())") == str(BUILT_IN)
    assert "it has no hook `register_stores`" in run(tmp_path, "stores.get('empty_toll')")


def test_a_plan_whose_policy_is_not_installed_any_more_refuses_its_requests_only(tmp_path: Path) -> None:
    """The log still opens, and what is on other plans goes on."""
    install(tmp_path, "acme_toll", GOOD, "pricing")
    path = tmp_path / "toll.db"
    begin = f"""
        with Ledger.open({str(path)!r}) as ledger:
            for policy in ("acme.flat", "per_credit"):
                ledger.execute(CreatePlan(plan=policy, owner="acme", credits=10, policy=policy)).unwrap()
                ledger.execute(Purchase(subscriber="ann", plan=policy)).unwrap()
    """
    go_on = f"""
        with Ledger.open({str(path)!r}) as ledger:
            for policy in ("acme.flat", "per_credit"):
                print(getattr(ledger.execute(Request(subscriber="ann", plan=policy)), "reason", "admitted"))
    """
    run(tmp_path, begin)
    assert run(tmp_path, go_on) == "admitted\nadmitted"
    assert run(tmp_path / "elsewhere", go_on) == "policy_failed\nadmitted"


def test_a_sale_on_a_chain_whose_plugin_failed_is_refused_since_no_plugin_could_check_it(tmp_path: Path) -> None:
    install(tmp_path, "acme", "raise RuntimeError('no licence')", "chains")
    program = """
        from ledger import Escrow, EscrowFunding

        with Ledger.open() as ledger:
            ledger.execute(CreatePlan(plan="pro", owner="acme", credits=10)).unwrap()
            for chain in ("acme:1", "other:1"):
                escrow = EscrowFunding(Escrow(chain=chain, contract="0xE", purchase="7"))
                bought = ledger.execute(Purchase(subscriber="ann", plan="pro", funding=escrow))
                print(getattr(bought, "reason", "sold"), getattr(bought, "facts", ""))
    """
    refused, sold = run(tmp_path, program).splitlines()
    assert refused.startswith("malformed ")
    assert "RuntimeError: no licence" in refused
    assert sold.startswith("sold")
