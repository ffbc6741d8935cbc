"""Lets the tests of the mock share a module: in this import mode test files cannot import their neighbours."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

spec = spec_from_file_location("mock_batches", Path(__file__).with_name("mock_batches.py"))
assert spec is not None
assert spec.loader is not None
module = sys.modules["mock_batches"] = module_from_spec(spec)
spec.loader.exec_module(module)
