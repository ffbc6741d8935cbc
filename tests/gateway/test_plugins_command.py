"""`tollbook plugins`: what is installed, by kind, and what failed and why, with packages that pip installed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

PROJECT = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"

    [project]
    name = "{name}"
    version = "2.5"

    [project.entry-points."tollbook.pricing"]
    main = "{module}"

    [tool.hatch.build.targets.wheel]
    include = ["{module}.py"]
"""

FLAT = """
    from ledger.plugins import Price, hookimpl

    class Flat:
        version, scope, monotone = 1, "request", True

        def __init__(self, parameters):
            self.parameters = dict(parameters)

        def total(self, usage, labels):
            return Price(3)

    @hookimpl
    def register_policies(register):
        register("acme.flat", Flat)
"""


def pip_install(sources: Path, target: Path, name: str, module: str) -> None:
    folder = sources / name
    folder.mkdir(parents=True)
    stem = name.replace("-", "_")
    (folder / "pyproject.toml").write_text(dedent(PROJECT).format(name=name, module=stem))
    (folder / f"{stem}.py").write_text(dedent(module))
    words = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", target, folder]
    subprocess.run([sys.executable, "-m", "pip", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with two packages: acme-flat, and acme-broken, which cannot be imported."""
    folder = tmp_path_factory.mktemp("plugins")
    pip_install(folder / "sources", folder / "site", "acme-flat", FLAT)
    pip_install(folder / "sources", folder / "site", "acme-broken", "raise RuntimeError('no licence')")
    return folder / "site"


def test_the_built_ins_are_listed_by_kind(tollbook):
    done = tollbook("plugins", "--json")
    kinds = {
        kind: {each["name"] for each in done.json["plugins"] if each["kind"] == kind} for kind in ("chains", "stores")
    }
    assert (kinds["chains"] >= {"eip155", "mock"}, kinds["stores"] >= {"memory", "sqlite"}) == (True, True)
    time = next(each for each in done.json["plugins"] if each["name"] == "time")
    assert (time["kind"], time["distribution"], time["entry_point"]) == ("pricing", "tollbook", "builtin")
    assert tollbook("plugins").out.splitlines()[0].split() == ["kind", "name", "distribution", "version"]


def test_what_is_installed_and_what_failed_are_listed_with_the_reason(process, site):
    done = process("plugins", "--json", env={**os.environ, "PYTHONPATH": str(site)})
    assert (done.code, done.err) == (1, "")
    answer = json.loads(done.out)
    flat = {
        "kind": "pricing",
        "name": "acme.flat",
        "distribution": "acme-flat",
        "version": "2.5",
        "entry_point": "main",
    }
    assert flat in answer["plugins"]
    [failed] = answer["failed"]
    assert (failed["kind"], failed["distribution"], failed["version"]) == ("pricing", "acme-broken", "2.5")
    assert failed["reason"] == "RuntimeError: no licence"
    shown = process("plugins", env={**os.environ, "PYTHONPATH": str(site)})
    assert "failed: pricing main, of acme-broken 2.5: RuntimeError: no licence" in shown.out


def test_a_command_that_needs_the_kind_warns_and_goes_on(process, site, told):
    done = process("explain", told.log, told.seq["direct"], env={**os.environ, "PYTHONPATH": str(site)})
    assert done.code == 0
    [line] = done.err.splitlines()
    assert line.startswith("tollbook: warning: the plugin main of acme-broken 2.5 cannot be used as a pricing policy: ")
    assert "`tollbook plugins`" in line
