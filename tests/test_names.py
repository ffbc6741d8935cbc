"""`tollbook` has the public names of all packages; a file that hides one of them is an error that says so."""

import os
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import ledger.errors
import tollbook
from ledger.names import PACKAGES

LIBRARIES = ("ledger", "pricing", "chains", "replay")


def run(program, folder):
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.smoke
def test_tollbook_has_the_public_names_of_all_packages_and_the_errors():
    names = {
        name: getattr(import_module(package), name) for package in LIBRARIES for name in import_module(package).__all__
    }
    errors = [value for value in vars(ledger.errors).values() if isinstance(value, type)]
    names |= {error.__name__: error for error in errors}
    assert {name: getattr(tollbook, name) for name in tollbook.__all__ if name != "__version__"} == names
    assert tollbook.__version__ == version("tollbook")
    assert len(set(tollbook.__all__)) == len(tollbook.__all__) == len(dir(tollbook))


def test_a_name_that_no_package_has_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Leger'"):
        _ = tollbook.Leger


def test_a_package_is_imported_when_a_name_of_it_is_used(tmp_path):
    program = "import sys, tollbook; print('replay' in sys.modules); tollbook.audit; print('replay' in sys.modules)"
    assert run(program, tmp_path).stdout.split() == ["False", "True"]


@pytest.mark.smoke
@pytest.mark.parametrize("imported", ["tollbook", "ledger"])
@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("file", ["{}.py", pytest.param("{}/__init__.py", marks=pytest.mark.sweep)])
def test_a_file_that_hides_a_package_is_named_and_not_run(tmp_path, imported, name, file):
    if (imported, name) == ("ledger", "ledger"):
        pytest.skip("that is the file itself")
    path = tmp_path / file.format(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("print('run')")
    done = run(f"from {imported} import Ledger", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"`import {name}` finds {path}, which hides Tollbook's package {name}: rename it\n" in done.stderr


def test_a_program_with_the_name_of_the_core_is_told_so_too(tmp_path):
    (tmp_path / "ledger.py").write_text("from tollbook import Ledger")
    done = subprocess.run([sys.executable, "ledger.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "hides Tollbook's package ledger: rename" in done.stderr


def test_a_folder_without_an_init_hides_nothing(tmp_path):
    (tmp_path / "pricing").mkdir()
    assert run("import tollbook", tmp_path).returncode == 0


@pytest.mark.smoke
def test_the_command_line_says_it_on_one_line(tmp_path):
    (tmp_path / "pricing.py").touch()
    program, env = Path(sys.executable).with_name("tollbook"), {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([program, "balance", "toll.db"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("tollbook: error: `import pricing` finds ")


@pytest.mark.smoke
def test_the_command_line_is_a_module_too(tmp_path):
    done = subprocess.run([sys.executable, "-m", "tollbook", "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == f"tollbook {version('tollbook')}\n"
