"""Wait until the script imports a Keras, then join every container of callbacks that its ``fit`` makes.

Nothing is imported early, no function is put around ``fit``, and no frame of ours stands between
the script and Keras: a ``fit`` of any Keras and backend makes one ``CallbackList``, and the
profiler enters that when it is complete. So the arguments of ``fit`` may have any form, what the
script passes is not changed, and a subclass that calls ``super().fit``, or ``fit_generator``, is
joined once.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kerasdiag.environment.process_rank import process_rank
from kerasdiag.fit_call import calling_method

if TYPE_CHECKING:
    from kerasdiag.profiler.every_fit import EveryFit

# Any stands for Keras' own objects.

logger = logging.getLogger("kerasdiag")

NO_FIT = "No fit ran in this process, so there is nothing to tell: kerasdiag run watches model.fit of Keras."
_JOINED = "_kerasdiag_joined"  # marks a class whose containers are joined already


class Attachment:
    """Brings the profiler into the fits of this process; made when it has a Keras, see ``cli/startup``."""

    def __init__(self, *, until_verdict: bool, output: str | None) -> None:
        """Join nothing yet.

        Args:
            until_verdict: End the process once the verdict is stable.
            output: File for the profile of the first fit; later ones are numbered.
        """
        self._until_verdict = until_verdict
        self._output = output
        self._process = os.getpid()
        self._every_fit: EveryFit | None = None

    def join_containers_of(self, module: ModuleType) -> None:
        """Join what the ``CallbackList`` of a Keras that has just been imported will contain."""
        containers = getattr(module, "CallbackList", None)
        if not isinstance(containers, type) or _JOINED in vars(containers):
            return  # a module of this name that only passes the class on
        from kerasdiag.profiler.every_fit import EveryFit

        if self._every_fit is None:
            self._every_fit = EveryFit(until_verdict=self._until_verdict, output=self._output)
        join_containers(containers, self._every_fit, lambda: os.getpid() == self._process)

    def conclude(self) -> None:
        """Say at the end of the script what is left to say; a forked child says nothing."""
        if os.getpid() != self._process or process_rank().rank != 0:
            return
        if self._every_fit is not None:
            _guarded(self._every_fit.conclude)


def join_containers(containers: Any, every_fit: EveryFit, is_our_process: Callable[[], bool]) -> None:
    """Have each new ``CallbackList`` chosen and completed by ``every_fit``.

    Args:
        containers: The class.
        every_fit: Its ``choose`` sees the callbacks before a ``fit`` makes the container, its
            ``complete`` each container afterwards.
        is_our_process: False in a forked child, whose fits are not ours.
    """
    original = containers.__init__
    signature = inspect.signature(original)
    package = containers.__module__.split(".")[0]

    @functools.wraps(original)
    def make_and_join(self: Any, callbacks: Any = None, *args: Any, **kwargs: Any) -> None:
        method = _guarded(calling_method, sys._getframe(1), package)
        # evaluate and predict make containers too, some scripts thousands of them.
        is_wanted = is_our_process() and method not in ("evaluate", "predict")
        # One that the script has made may serve a loop of its own, and that trains to its end.
        is_chosen = is_wanted and method == "fit"
        chosen = _guarded(every_fit.choose, callbacks, default=callbacks) if is_chosen else callbacks
        original(self, chosen, *args, **kwargs)
        if is_wanted:
            arguments = signature.bind(self, chosen, *args, **kwargs).arguments
            _guarded(every_fit.complete, self, arguments.get("model"), arguments.get("params"))

    containers.__init__ = make_and_join
    setattr(containers, _JOINED, True)


def _guarded(action: Callable[..., Any], *arguments: Any, default: Any = None) -> Any:
    try:
        return action(*arguments)
    except Exception as fault:
        logger.warning("kerasdiag could not join a fit (%s: %s); it runs without.", type(fault).__name__, fault)
        return default
