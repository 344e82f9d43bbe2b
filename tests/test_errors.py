"""Tests that whatever edgeqa raises reaches another process as it was, with its hint and its facts."""

from __future__ import annotations

import contextlib
import copy
import importlib
import pickle
import pkgutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

import edgeqa
from edgeqa import errors
from edgeqa.errors import EdgeQAError, NotEnoughMemory, OptionError, _again

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def kinds(of: type[EdgeQAError] = EdgeQAError) -> Iterator[type[EdgeQAError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


def import_all(package: ModuleType) -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ModuleNotFoundError):  # of an extra that is not installed
                importlib.import_module(module.name)


def test_every_error_is_the_same_in_another_process() -> None:
    import_all(edgeqa)
    # Another test may have loaded a module anew: then there are classes that no name leads to any more.
    found = {kind for kind in kinds() if getattr(sys.modules[kind.__module__], kind.__qualname__, None) is kind}
    assert len(found) > 100
    for kind in found:
        error = _again(kind, ("what went wrong",))
        error.__dict__.update(message="what went wrong", hint="what to do", missing_bytes=3)
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
            assert type(again) is kind
            assert (str(again), again.args, again.__dict__) == ("what went wrong", ("what went wrong",), error.__dict__)


def test_an_error_that_was_made_of_facts_keeps_them() -> None:
    error = NotEnoughMemory("memory", 300, 200, {"threads": 2})
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (again.missing_bytes, str(again), again.hint) == (100, str(error), error.hint)


def refused() -> None:
    raise OptionError(name="threads", value=0, expected="at least 1")


def test_an_error_comes_out_of_a_process_pool() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(OptionError) as caught:
        pool.submit(refused).result()
    assert caught.value.hint == "threads is at least 1"


def test_a_model_is_not_loaded_in_a_subinterpreter() -> None:
    program = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
one = interpreters.create()
interpreters.run_string(one, '''
import warnings
warnings.simplefilter("ignore")  # numpy's, on subinterpreters
try:
    from edgeqa.models.session import SessionOptions, session_setup
except ImportError as error:  # numpy refuses to be loaded a second time
    print("Subinterpreter", error)
else:
    try:
        session_setup(SessionOptions(threads=1))
    except Exception as error:
        print(type(error).__name__, error)
''')
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("Subinterpreter"), done.stderr


def drawn() -> Iterator[str]:
    """Yields the lines of the tree of the classes in `edgeqa.errors`."""

    def below(kind: type[EdgeQAError], depth: int) -> Iterator[str]:
        builtins = [base.__name__ for base in kind.__bases__ if base.__module__ == "builtins" and depth]
        yield "    " * (depth + 1) + kind.__name__ + (f" ({', '.join(builtins)})" if builtins else "")
        for one in kind.__subclasses__():
            if one.__module__ == errors.__name__ and getattr(errors, one.__name__, None) is one:
                yield from below(one, depth + 1)

    yield from below(EdgeQAError, 0)


def test_the_tree_is_drawn_as_it_is() -> None:
    assert errors.__doc__ is not None
    tree = "\n".join(drawn())
    assert tree in errors.__doc__, f"the docstring of edgeqa/errors.py wants this tree:\n{tree}"
