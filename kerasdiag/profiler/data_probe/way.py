"""What the three ways of splitting the wait from the step have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from kerasdiag.profiler.data_probe.price import Price, leaves

# Any stands for Keras' own objects: models, iterators, batches, logs.


class Recording(Protocol):
    """Where the marks of a step go, and what a way may tell the probe."""

    clock: Callable[[], float]
    steps: int
    bookkeeping_s: float

    def record(
        self, start_s: float, ready_s: float, end_s: float, *, hidden_wait_s: float = 0.0, compiled: bool = False
    ) -> None:
        """Keep the marks of a step: when it asked for its batch, had it, and returned."""

    def show(self, batch: Any) -> None:
        """Show a batch, before its step, to those who wait for the first."""

    def skip(self, start_s: float) -> None:
        """Note a step that is not measured."""

    def exclude(self, duration_s: float) -> None:
        """Take time out of the last step that was ours."""

    def note_pull_overhead(self, seconds: float, longest_s: float, spent_s: float) -> None:
        """Note what asking for a batch costs, what it may cost, and how long it took to find out."""

    def note_launch(self, seconds: float, spent_s: float) -> None:
        """Note what starting a step costs, and how long it took to find out."""

    def note_compile(self, duration_s: float) -> None:
        """Note that a function was traced or compiled outside of any step."""

    def give_up(self, reason: str) -> None:
        """Leave the training to Keras from here on."""

    def stop_recording(self, reason: str) -> None:
        """After a fault of ours: the training goes on as it began, only unobserved."""


class Way(ABC):
    """Runs what Keras would have called, and marks when each of its steps waited and computed."""

    method = ""  # its name in the profile
    pulls_between_steps = False  # whether Keras has the batch before it calls ``on_train_batch_begin``
    lost_launch_s = 0.0  # what a measured step adds where Keras starts the steps of an execution all at once
    # Attributes of each:
    #   keeps_batch: Whether a batch of the training is kept, for its ceilings.
    #   kept_batch: That batch.

    def __init__(self, probe: Recording) -> None:
        self._probe = probe
        self._clock = probe.clock
        self._pull_price: Price | None = None
        self.keeps_batch = False
        self.kept_batch: Any = None

    @abstractmethod
    def run(self, train_function: Any, arguments: tuple[Any, ...]) -> Any:
        """Make the call ``train_function(*arguments)``, step by step on the clock; returns what it returns."""

    def _price_pulls(self, make: Callable[[], Price | None]) -> None:
        """Begin to price pulls, where that can be done."""
        try:
            self._pull_price = make()
        except Exception as fault:
            self._stop_pricing(fault)

    def _price_a_pull(self) -> None:
        """Take one more sample of what asking costs; its time is nobody's."""
        price = self._pull_price
        if price is None or not self._probe.steps or not price.is_due(self._probe.steps):
            return
        try:
            spent_s = price.sample()
            self._probe.note_pull_overhead(price.seconds, price.longest_s, spent_s)
        except Exception as fault:
            self._stop_pricing(fault)

    def _stop_pricing(self, fault: Exception) -> None:
        self._probe.stop_recording(f"the cost of pulling a batch could not be measured ({say(fault)})")

    def _keep(self, batch: Any) -> None:
        """Show the first batch, and keep one if that is wanted: the second one, for a first one may be the last."""
        self._probe.show(batch)
        if self.keeps_batch and (self.kept_batch is None or self._probe.steps == 1):
            self.kept_batch = batch

    def begin_batch(self, batch: int) -> None:
        """Keras is about to call ``on_train_batch_begin`` with the number of this step in its epoch."""

    def end_batch(self) -> None:
        """Keras is about to go for the next batch: all callbacks have run."""

    def drained_s(self) -> float | None:
        """When the device finished the last step, where the program may run ahead of it; else None."""
        return None

    def pipeline(self) -> Any:
        """The tf.data iterator that the training reads, where it is at hand; else None."""
        return None

    def traced(self) -> Any:
        """The function whose graph stands for the training, where it is not ``train_function``; else None."""
        return None

    def forget(self) -> None:
        """``train_function`` is another one from here on."""

    def release(self) -> None:
        """Drop whatever keeps models, batches or threads; the fit is over."""
        self.kept_batch = None
        if self._pull_price is not None:
            self._pull_price.release()


def say(fault: BaseException) -> str:
    """Name a fault in one line: the first, or the last where the first only says that it comes from the user's code."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()] or [""]
    line = lines[-1] if lines[0] == "in user code:" else lines[0]
    name = type(fault).__name__
    return line if line.startswith(f"{name}: ") else f"{name}: {line}"


def leading_shape(batch: Any) -> Any:
    """Shape of the first array of a batch, as something to look up in a set."""
    try:
        return tuple(leaves(batch)[0].shape)
    except (
        AttributeError,
        IndexError,
        TypeError,
        ValueError,
    ):  # no dense tensor: its shape says nothing about compiling
        return None
