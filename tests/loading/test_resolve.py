"""Python objects by name: what is found, what is executed, and how failure reads."""

from __future__ import annotations

import random
import re
import sys

import numpy as np
import pytest
import torch

from normscope.loading import LoadingError, resolve

MODULE = """
from dataclasses import dataclass
import torch

@dataclass
class Settings:
    depth: int = 3

class Net(torch.nn.Linear):
    @staticmethod
    def small():
        return Net(2, 2)

def factory():
    return Net.small()

_hidden = 1
"""


def generators() -> list[object]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global generator is the one in question
    return [torch.get_rng_state().tolist(), kind, keys.tolist(), rest, random.getstate()]


@pytest.mark.parametrize("spec", ["resolved_a:factory", "resolved_a.py:factory", "./resolved_a.py:factory"])
def test_a_module_of_the_current_folder_and_a_file(write, spec):
    write("resolved_a.py", MODULE)
    assert isinstance(resolve(spec)(), torch.nn.Linear)


def test_packages_attribute_paths_and_absolute_paths(write):
    path = write("pkg_b/deep/models.py", MODULE)
    write("pkg_b/__init__.py", "")
    assert resolve("pkg_b.deep.models:Net.small")().in_features == 2
    assert resolve(f"{path}:Settings")().depth == 3
    assert resolve("torch:nn.Linear") is torch.nn.Linear


def test_files_of_one_name_are_two_modules_and_each_is_run_once(write):
    for folder in ("one", "two"):
        write(f"{folder}/same.py", f"print('run'); here = {folder!r}; fresh = object()")
    assert resolve("one/same.py:here") == "one"
    assert resolve("two/same.py:here") == "two"
    assert resolve("one/same.py:fresh") is resolve("./one/same.py:fresh")


def test_a_file_stands_in_for_no_installed_module(write):
    write("torch.py", "torch = 'not torch'")
    assert resolve("torch.py:torch") == "not torch"
    assert sys.modules["torch"] is torch


def test_a_file_imports_its_neighbours_and_what_is_in_the_current_folder(write):
    write("below/model_c.py", "import neighbour_c, here_c\nvalue = neighbour_c.value + here_c.value")
    write("below/neighbour_c.py", "value = 1")
    write("here_c.py", "value = 10")
    assert resolve("below/model_c.py:value") == 11


def test_only_what_is_named_is_executed(write, tmp_path):
    for name in ("conftest.py", "setup.py", "sitecustomize.py", "other_d.py", "__init__.py", "__main__.py"):
        write(name, "open('executed', 'w')")
    write("model_d.py", "value = 1\nif __name__ == '__main__':\n    open('executed', 'w')")
    assert resolve("model_d.py:value") == resolve("model_d:value") == 1
    assert not (tmp_path / "executed").exists()


def test_imports_leave_the_global_generators_alone(write):
    draws = "import torch, numpy, random\n"
    draws += "torch.manual_seed(3); value = torch.rand(2), numpy.random.rand(), random.random()"
    write("draws_e.py", draws)
    before = generators()
    resolve("draws_e:value")
    resolve("draws_e.py:value")
    assert generators() == before


# --- failure ------------------------------------------------------------------------------------------------------

FILES = {
    "good.py": MODULE,
    "raises.py": "import good\n\ndef deep():\n    raise KeyError('gone')\n\ndeep()",
    "library.py": "import json\n\n\njson.loads('{')",
    "syntax.py": "x = 1\ndef f(:\n    pass",
    "leaves.py": "import sys\nsys.exit('usage: leaves')",
    "needs.py": "\nimport not_installed_anywhere",
    "lazy.py": "def __getattr__(name):\n    raise OSError('disk on fire')",
    "silent.py": "assert False",
    "colours.py": "raise ValueError('\\x1b[31mred\\nsecond line')",
    "pack/__init__.py": "",
    "pack/models.py": MODULE,
    "text.txt": "",
    "empty.py": "",
}
REFUSED = [
    ("good", r"^'good' names no object: write pkg.module:name or path/model.py:name, with the name of a factory"),
    ("", r"^'' names no object"),
    (":net", r"^':net' names no module or file before the colon: write pkg.module:name"),
    ("good:", r"^'good:' is not of the form pkg.module:name or path/model.py:name: '' is no name of a Python object$"),
    ("good:a b", r"'a b' is no name of a Python object$"),
    ("good:factory()", r"'factory\(\)' is no name of a Python object$"),
    ("good.py:a..b", r"'a..b' is no name"),
    ("go-od:net", r"^'go-od' is no name of a module; for a file, write its path with .py$"),
    (".good:net", r"^'.good' is no name of a module"),
    ("god.py:net", r"^there is no file god.py; did you mean 'good.py'\?$"),
    ("pack/modles.py:net", r"^there is no file pack/modles.py; did you mean 'models.py'\?$"),
    ("nowhere/x.py:net", r"^there is no file nowhere/x.py: the folder nowhere does not exist$"),
    ("pack/:net", r"^pack is a folder, not a Python file$"),
    ("pack/models:net", r"^there is no file pack/models; did you mean 'models.py'\?$"),
    ("./text.txt:net", r"^./text.txt is no Python file: its name must end in .py$"),
    ("goood:net", r"^there is no module 'goood' in this folder or among the installed ones; did you mean 'good'\?$"),
    ("qqqqqqqq:net", r"^there is no module 'qqqqqqqq' in this .*; there is colours, empty, good.* and \d+ more$"),
    ("pack.modls:net", r"^there is no module 'modls' in pack; did you mean 'models'\?$"),
    ("pack.qq:net", r"^there is no module 'qq' in pack; there is models$"),
    ("qqqq.pack.models:net", r"^there is no module 'qqqq' in this .*, to find 'qqqq.pack.models'; there is"),
    ("good.deeper:net", r"^there is no module 'deeper' in good$"),
    ("good:factry", r"^good has no 'factry'; did you mean 'factory'\?$"),
    ("good.py:qqq", r"^good.py has no 'qqq'; there is Net, Settings, factory$"),
    ("good:Net.smal", r"^good:Net has no 'smal'; did you mean 'small'\?$"),
    ("empty.py:net", r"^empty.py has no 'net'$"),
    ("lazy:net", r"^looking up 'net' in lazy raised OSError: disk on fire \(lazy.py:2\)$"),
    ("raises:net", r"^importing raises raised KeyError: 'gone' \(raises.py:4\)$"),
    ("raises.py:net", r"^importing raises.py raised KeyError: 'gone' \(raises.py:4\)$"),
    ("library.py:net", r"^importing library.py raised JSONDecodeError: .* \(library.py:4\)$"),
    ("syntax:net", r"^importing syntax raised SyntaxError: .* \(syntax.py:2\)$"),
    ("leaves:net", r"^importing leaves raised SystemExit: usage: leaves \(leaves.py:2\)$"),
    ("needs:net", r"^importing needs raised ModuleNotFoundError: No module named 'not_installed_.* \(needs.py:2\)$"),
    ("silent:net", r"^importing silent raised AssertionError \(silent.py:1\)$"),
    ("colours:net", r"^importing colours raised ValueError: \\x1b\[31mred second line \(colours.py:1\)$"),
]


@pytest.mark.parametrize(("spec", "message"), REFUSED)
def test_what_is_refused(write, spec, message):
    for name, content in FILES.items():
        write(name, content)
    with pytest.raises(LoadingError, match=message) as caught:
        resolve(spec)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_file_that_raised_can_be_mended(write):
    write("mended.py", "1 / 0")
    with pytest.raises(LoadingError, match="ZeroDivisionError"):
        resolve("mended.py:value")
    write("mended.py", "value = 12345")
    assert resolve("mended.py:value") == 12345


def test_interruption_passes(write):
    write("interrupted.py", "raise KeyboardInterrupt")
    for spec in ("interrupted:x", "interrupted.py:x"):
        with pytest.raises(KeyboardInterrupt):
            resolve(spec)


def test_the_folder_comes_first_and_once(write, tmp_path):
    write("first_f.py", "value = 1")
    for _ in range(2):
        resolve("first_f:value")
        resolve("first_f.py:value")
    assert sys.path[0] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_messages_say_a_path_outside_of_the_folder_in_full(write, tmp_path, monkeypatch):
    path = write("outside/bad_g.py", "raise ValueError('no')")
    write("inside/x.txt", "")
    monkeypatch.chdir(tmp_path / "inside")
    with pytest.raises(LoadingError, match=re.escape(f"ValueError: no ({path}:1)")):
        resolve(f"{path}:x")
