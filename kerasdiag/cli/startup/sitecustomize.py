"""What ``kerasdiag run`` has Python import before the script: everything is put back, then the profiler waits for Keras.

Python imports a module of this name at every start (see ``site``). It runs before ``__main__``, so the
script has the arguments, the paths, the environment and the stack that plain Python gives it. A script
may have a ``random.py`` of its own beside it: what was loaded before would be found in its place. So
nothing is imported here but what Python itself has loaded by now, until there is a Keras.
"""

from __future__ import annotations

import atexit
import os
import sys
from _frozen_importlib import module_from_spec
from _frozen_importlib_external import PathFinder, spec_from_file_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

RUN_VARIABLE = "KERASDIAG_RUN"  # the modules of Keras to wait for
NO_FIT_VARIABLE = "KERASDIAG_RUN_NO_FIT"  # what to say where none is imported
OUTPUT_VARIABLE = "KERASDIAG_RUN_OUTPUT"
PYTHONPATH_VARIABLE = "KERASDIAG_RUN_PYTHONPATH"  # what PYTHONPATH was
UNTIL_VERDICT_VARIABLE = "KERASDIAG_RUN_UNTIL_VERDICT"


def tell(sentence: str) -> None:
    """Say it on stderr, if somebody is there."""
    try:
        sys.stderr.flush()
        os.write(sys.stderr.fileno(), f"\n[kerasdiag] {sentence}\n".encode("ascii", "replace"))
    except Exception:  # noqa: S110  # there is nobody to tell
        pass


def _put_back(pythonpath: str | None) -> None:
    """Let neither the script nor its child processes see how they were started."""
    if pythonpath is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = pythonpath
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]


class AfterImport:
    """Calls ``action`` with a module right after it was imported; how it is found and loaded stays as it was."""

    def __init__(self, names: Sequence[str], action: Callable[[ModuleType], None]) -> None:
        self._names = frozenset(names)
        self._action = action
        self._searching: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the other finders find it, and watch what their loader loads."""
        if fullname not in self._names or fullname in self._searching:
            return None
        self._searching.add(fullname)  # another tool's finder may ask everybody, us included
        try:
            for finder in sys.meta_path:
                spec = finder.find_spec(fullname, path, target) if hasattr(finder, "find_spec") else None
                if spec is not None:
                    self._watch(spec)
                    return spec
        finally:
            self._searching.discard(fullname)
        return None

    def _watch(self, spec: ModuleSpec) -> None:
        """Shadow the loader's method for one call: its type, which others look at, stays."""
        loader: Any = spec.loader
        original = getattr(loader, "exec_module", None)
        own = getattr(loader, "__dict__", None)
        if original is None or not isinstance(own, dict):
            return  # a loader with slots, or one that is a class: the import is worth more than the profile

        def exec_module(module: ModuleType) -> None:
            own.pop("exec_module", None)
            original(module)
            try:
                self._action(module)
            except Exception as fault:
                tell(
                    f"the profiler could not be started ({type(fault).__name__}: {fault}); the script runs without it."
                )

        own["exec_module"] = exec_module


class OurPackage:
    """Finds the kerasdiag that was typed, whether or not the script's paths lead to it."""

    @staticmethod
    def find_spec(fullname: str, *_: object) -> ModuleSpec | None:
        """Find ``kerasdiag`` itself; what is in it is found by way of it."""
        if fullname != "kerasdiag":
            return None
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        init = os.path.join(package, "__init__.py")
        return spec_from_file_location("kerasdiag", init, submodule_search_locations=[package])


def wait_for_keras(modules: Sequence[str], *, no_fit: str, until_verdict: bool, output: str | None) -> None:
    """Profile every fit that this process will run.

    Args:
        modules: Where a Keras may define its containers of callbacks.
        no_fit: What to say at the end where no Keras was imported; may be empty.
        until_verdict: End the process once the verdict is stable.
        output: File for the profile of the first fit; later ones are numbered.
    """
    process = os.getpid()
    attachments: list[Any] = []  # one, once there is a Keras

    def join(module: ModuleType) -> None:
        if os.getpid() != process:
            return
        if not attachments:
            from kerasdiag.profiler.attach import Attachment

            attachments.append(Attachment(until_verdict=until_verdict, output=output))
        attachments[0].join_containers_of(module)

    def conclude() -> None:
        # Nothing may be imported now: code that runs after an uncaught Ctrl-C, as that of a new
        # dataclass does, has Python forget that it was one (exit code 1 instead of the signal).
        if attachments:
            attachments[0].conclude()
        elif no_fit and os.getpid() == process:
            tell(no_fit)

    finders: list[Any] = [AfterImport(modules, join), OurPackage]
    sys.meta_path[:0] = finders
    atexit.register(conclude)


def _hand_over() -> None:
    """Import the machine's own ``sitecustomize``, which ours has hidden; say as Python does if there is none."""
    spec: Any = PathFinder.find_spec("sitecustomize")
    if spec is None:
        raise ImportError("there is no sitecustomize but that of kerasdiag run", name="sitecustomize")
    module = sys.modules["sitecustomize"] = module_from_spec(spec)
    spec.loader.exec_module(module)


def _begin() -> None:
    modules = os.environ.pop(RUN_VARIABLE, None)
    if modules is None:
        return
    _put_back(os.environ.pop(PYTHONPATH_VARIABLE, None))
    wait_for_keras(
        modules.split(","),
        no_fit=os.environ.pop(NO_FIT_VARIABLE, ""),
        until_verdict=os.environ.pop(UNTIL_VERDICT_VARIABLE, None) is not None,
        output=os.environ.pop(OUTPUT_VARIABLE, None),
    )
    _hand_over()


if __name__ == "sitecustomize":
    _begin()
