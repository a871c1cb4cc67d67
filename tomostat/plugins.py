"""Readers, detectors, measures and formats by name: those that tomostat brings, and those of installed packages.

A package offers its own by Python entry points, in the groups ``tomostat.readers``, ``tomostat.detectors``,
``tomostat.measures`` and ``tomostat.formats``. On the command line and in Python an object may also be named as
``module:object``; a study file names installed ones only, so that it stays data.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

Kind = TypeVar("Kind")


class PluginError(ValueError):
    """An error in a plugin: the message names the plugin and where it failed."""


@dataclass(frozen=True)
class Plugin(Generic[Kind]):
    """An object that is known by a name.

    Attributes
    ----------
    name
        As a study file and the command line name it.
    version
        Version of the package that offers it, or digest of the module that was named; empty if unknown.
    value
        The object itself.
    """

    name: str
    version: str
    value: Kind

    @property
    def identity(self) -> list[str]:
        """Name and version: results of two plugins, or of two versions of one, are kept apart by it."""
        return [self.name, self.version]

    @contextmanager
    def blame(self, where: str) -> Iterator[None]:
        """Add the name of this plugin, and where it failed, to every error.

        Raises
        ------
        PluginError
            In place of any other error.
        """
        try:
            yield
        except PluginError:
            raise
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise PluginError(f"{self.name} failed at {where}: {type(error).__name__}: {said}") from error


@dataclass(frozen=True)
class Registry(Generic[Kind]):
    """All plugins of one kind.

    Attributes
    ----------
    what
        The kind, for messages.
    group
        Group of entry points.
    fits
        Whether an object is one of them.
    expected
        What an object should be, for messages.
    package, attribute
        Package that holds tomostat's own, one module each, which is named like it, and the name of the object in the
        module; empty where they are found otherwise.
    """

    what: str
    group: str
    fits: Callable[[object], bool]
    expected: str
    package: str = ""
    attribute: str = ""

    def names(self) -> list[str]:
        """Names of tomostat's own, then those of installed packages."""
        return list(dict.fromkeys([*self.built_in(), *(point.name for point in self._points())]))

    def built_in(self) -> list[str]:
        """Names of tomostat's own."""
        if not self.package:
            return []
        return [module.name for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__)]

    def get(self, name: str) -> Plugin[Kind]:
        """Look up a plugin.

        Parameters
        ----------
        name
            A name out of `names`, or ``module:object``.

        Raises
        ------
        ValueError
            When no such plugin is known, or the object is of another kind.
        """
        if ":" in name:
            module, _, attribute = name.partition(":")
            found = self._checked(name, "", lambda: getattr(_import(module), attribute))
            return replace(found, version=_digest(module))
        if name in self.built_in():
            module = f"{self.package}.{name}"
            return self._checked(name, "", lambda: getattr(importlib.import_module(module), self.attribute))
        for point in self._points():
            if point.name == name:
                return self._checked(name, _version(point), point.load)
        raise ValueError(f"there is no {self.what} {name!r}; known are {', '.join(self.names()) or 'none'}")

    def _points(self) -> list[EntryPoint]:
        return sorted(entry_points(group=self.group), key=lambda point: point.name)

    def _checked(self, name: str, version: str, load: Callable[[], object]) -> Plugin[Kind]:
        """Load an object and check that it is of this kind."""
        try:
            value = load()
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{self.what} {name!r} cannot be imported: {error}") from error
        if not self.fits(value):
            raise ValueError(f"{self.what} {name!r} is a {type(value).__name__}; expected {self.expected}")
        return Plugin(name, version, value)  # type: ignore[arg-type]


def _import(module: str) -> ModuleType:
    """A module of an installed package or, as ``python -m`` has it, of the current folder."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        folder = str(Path.cwd())
        if folder in sys.path:
            raise
        sys.path.append(folder)  # workers that this process starts take it over
        importlib.invalidate_caches()
        return importlib.import_module(module)


def _digest(module: str) -> str:
    """First digits of the SHA-256 of a module's file: what an edited function returns is another result."""
    file = getattr(sys.modules[module], "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else ""


def _version(point: EntryPoint) -> str:
    """Version of the package that offers an entry point."""
    if point.dist is not None:
        return str(point.dist.version)
    try:
        return version(point.module.partition(".")[0])
    except PackageNotFoundError:
        return ""
