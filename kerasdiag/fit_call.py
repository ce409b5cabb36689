"""The running ``fit``, found on the stack: callbacks are told little of what it was given."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any  # whatever fit was given


@dataclass(frozen=True)
class FitFrame:
    """Which call of ``fit`` this is, without keeping it, or its data, alive.

    Attributes:
        frame_id: ``id`` of its stack frame. May be given to another frame later.
        code: Its code object.
    """

    frame_id: int
    code: CodeType

    def is_frame(self, frame: FrameType) -> bool:
        """Tell whether ``frame`` is that of this fit; true of a later one only if this one has ended."""
        return id(frame) == self.frame_id and frame.f_code is self.code

    def is_on_stack(self, thread_id: int) -> bool:
        """Tell whether the fit still runs in the thread that began it; may be asked from any thread."""
        if thread_id == threading.get_ident():
            return self._is_below(sys._getframe(1))
        # The stack of another thread may change while it is walked, and then the fit is missed.
        for _ in range(5):
            if self._is_below(sys._current_frames().get(thread_id)):
                return True
            time.sleep(0.001)
        return False

    def _is_below(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if self.is_frame(frame):
                return True
            frame = frame.f_back
        return False


@dataclass(frozen=True)
class FitCall:
    """The running ``fit``, read from its frame on the stack; callbacks are told none of this.

    Attributes:
        frame: Which call it is.
        arguments: Local variables of ``fit`` by name, as they were in ``on_train_begin``.
        callbacks: Keras' container, which calls every callback.
    """

    frame: FitFrame
    arguments: Mapping[str, Any]
    callbacks: Any


def find_fit_call(model: Any) -> FitCall | None:
    """Return the innermost ``fit`` of ``model`` on this thread's stack, or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "fit":
            arguments = dict(frame.f_locals)
            if arguments.get("self") is model and hasattr(arguments.get("callbacks"), "on_train_batch_end"):
                return FitCall(FitFrame(id(frame), frame.f_code), arguments, arguments["callbacks"])
        frame = frame.f_back
    return None


def calling_method(frame: FrameType | None, package: str) -> str | None:
    """Return ``"fit"``, ``"evaluate"`` or ``"predict"`` if that method of Keras made the call, or None.

    Args:
        frame: Where the call came from. Keras' own functions between are passed over, a script's are not.
        package: Import name of the Keras.
    """
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == package:
        if frame.f_code.co_name in ("fit", "evaluate", "predict"):
            return frame.f_code.co_name
        frame = frame.f_back
    return None
