"""A Python object by its name: ``pkg.module:name`` or ``path/model.py:name``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from normscope.loading.errors import LoadingError, origin, suggestion
from normscope.loading.randomness import seeded_randomness


def resolve(spec: str) -> Any:
    """The object that ``spec`` names.

    ``pkg.module:name`` imports a module, ``path/model.py:name`` runs a file as one; ``name`` may be an attribute path
    such as ``Net.small``. Nothing is executed but the import of what is named. The current folder, and the folder of a
    named file, go to the front of ``sys.path`` and stay there, as ``python -m`` and ``python file.py`` would have it.
    A file is run once, however often it is named; two files of the same name are two modules. (What they import is
    shared as everywhere in Python: a second ``layers.py`` from another folder is not seen.) The global random
    generators are left as they were.

    Raises:
        LoadingError: the spec has no colon; there is no such file, module or attribute (the message names close
            ones); or the module raises while it is imported.
    """
    place, name = _split(spec)
    module = _run_file(place) if _is_file_name(place) else _import_module(place)
    return _attribute(module, place, name)


def _split(spec: str) -> tuple[str, str]:
    place, colon, name = spec.rpartition(":")
    if not colon:
        raise LoadingError(
            f"{spec!r} names no object: write pkg.module:name or path/model.py:name, "
            f"with the name of a factory, class or object after the colon"
        )
    if not place:
        raise LoadingError(f"{spec!r} names no module or file before the colon: write pkg.module:name")
    if not all(part.isidentifier() for part in name.split(".")):
        raise LoadingError(
            f"{spec!r} is not of the form pkg.module:name or path/model.py:name: {name!r} is no name of a Python object"
        )
    return place, name


def _is_file_name(place: str) -> bool:
    return place.endswith(".py") or "/" in place or os.sep in place


def _make_importable(folder: str) -> None:
    if folder not in sys.path and not (folder == os.getcwd() and "" in sys.path):
        sys.path.insert(0, folder)


def _import_module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise LoadingError(f"{name!r} is no name of a module; for a file, write its path with .py")
    _make_importable(os.getcwd())
    importlib.invalidate_caches()  # a file written a moment ago
    try:
        with seeded_randomness(0):
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise LoadingError(_no_module(name, missing)) from error
        raise LoadingError(f"importing {name} raised {origin(error)}") from error


def _no_module(name: str, missing: str) -> str:
    parent, _, last = missing.rpartition(".")
    folders = getattr(sys.modules[parent], "__path__", []) if parent else None
    known = [module.name for module in pkgutil.iter_modules(folders) if not module.name.startswith("_")]
    # hundreds of installed modules are no list to read: without a close one, those of this folder
    listed = known if parent else [module.name for module in pkgutil.iter_modules([os.getcwd()])]
    where = f"in {parent}" if parent else "in this folder or among the installed ones"
    sought = "" if missing == name else f", to find {name!r}"
    return f"there is no module {last!r} {where}{sought}{suggestion(last, known, listed)}"


def _run_file(place: str) -> ModuleType:
    path = Path(place).expanduser()
    if not path.is_file():
        raise LoadingError(_no_file(path))
    path = path.resolve()
    # not the plain stem: model.py and other/model.py are two modules, and neither may stand in for an installed one
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    name = f"_file_{digest}_{''.join(c if c.isalnum() else '_' for c in path.stem)}"
    if name in sys.modules:
        return sys.modules[name]
    _make_importable(os.getcwd())
    _make_importable(str(path.parent))
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadingError(f"{place} is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # while it runs: dataclasses and pickle look for a class's module there
    try:
        with seeded_randomness(0):
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]  # half a module is none
        if isinstance(error, Exception | SystemExit):
            raise LoadingError(f"importing {place} raised {origin(error)}") from error
        raise
    return module


def _no_file(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder, not a Python file"
    if not path.parent.is_dir():
        return f"there is no file {path}: the folder {path.parent} does not exist"
    known = sorted(file.name for file in path.parent.glob("*.py"))
    return f"there is no file {path}{suggestion(path.name, known)}"


def _attribute(module: ModuleType, place: str, name: str) -> Any:
    value: Any = module
    reached = place
    for part in name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError as error:
            raise LoadingError(f"{reached} has no {part!r}{suggestion(part, _names_of(value))}") from error
        except Exception as error:  # a module that loads its names when asked
            raise LoadingError(f"looking up {part!r} in {reached} raised {origin(error)}") from error
        reached = f"{place}:{part}" if reached == place else f"{reached}.{part}"
    return value


def _names_of(value: Any) -> list[str]:
    """The public names that a module defines; without any, those that it holds."""
    public = [name for name in dir(value) if not name.startswith("_")]
    if not isinstance(value, ModuleType):
        return public
    own = [name for name in public if getattr(vars(value).get(name), "__module__", None) == value.__name__]
    return own or public
