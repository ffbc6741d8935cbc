"""Lets the tests of the whole share their model: in this import mode test files cannot import their neighbours."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

for name in ("prices", "accounts", "metering", "model", "drafts"):
    spec = spec_from_file_location(f"whole_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[f"whole_{name}"] = module_from_spec(spec)
    spec.loader.exec_module(module)
