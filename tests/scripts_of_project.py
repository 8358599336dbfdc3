"""Scripts outside the package as modules."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]


@contextmanager
def script(path: str) -> Iterator[ModuleType]:
    """A script, by its path from the root; its dataclasses need it among the modules while they are used."""
    name = path.removesuffix(".py").replace("-", "_").replace("/", "_")
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]
