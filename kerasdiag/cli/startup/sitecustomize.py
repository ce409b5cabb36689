"""What ``kerasdiag run`` has Python import before the script: everything is put back, then the profiler waits for Keras.

Python imports a module of this name at every start (see ``site``). It runs before ``__main__``, so the
script has the arguments, the paths, the environment and the stack that plain Python gives it.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import sys
from typing import Any

RUN_VARIABLE = "KERASDIAG_RUN"


def _put_back(pythonpath: str | None) -> None:
    """Let neither the script nor its child processes see how they were started."""
    if pythonpath is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = pythonpath
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]


def _attach(until_verdict: bool, output: str | None) -> None:
    """Load the kerasdiag that was typed, whether or not the script's paths lead to it, and let it wait for Keras."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    init = os.path.join(package, "__init__.py")
    spec = importlib.util.spec_from_file_location("kerasdiag", init, submodule_search_locations=[package])
    assert spec is not None  # a .py file always has a loader
    assert spec.loader is not None
    module = sys.modules["kerasdiag"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from kerasdiag.profiler.attach import attach_to_every_fit

    attach_to_every_fit(until_verdict=until_verdict, output=output)


def _hand_over() -> None:
    """Import the machine's own ``sitecustomize``, which ours has hidden; say as Python does if there is none."""
    spec: Any = importlib.machinery.PathFinder.find_spec("sitecustomize")  # Any: its loader is never None here
    if spec is None:
        raise ImportError("there is no sitecustomize but that of kerasdiag run", name="sitecustomize")
    module = sys.modules["sitecustomize"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _begin() -> None:
    text = os.environ.pop(RUN_VARIABLE, None)
    if text is None:
        return
    request = json.loads(text)
    _put_back(request.pop("pythonpath"))
    try:
        _attach(**request)
    except Exception as fault:
        print(
            f"[kerasdiag] the profiler could not be started ({type(fault).__name__}: {fault}); the script runs "
            "without it.",
            file=sys.stderr,
        )
    _hand_over()


if __name__ == "sitecustomize":
    _begin()
