"""BottleneckProfiler: the Keras callback. Hooks only; what they do lies in the modules beside."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kerasdiag import compat
from kerasdiag.diagnosis import MIN_MEASURED_STEPS, Diagnosis, diagnose
from kerasdiag.diagnosis.first_batch import first_batch_findings
from kerasdiag.environment.switches import DISABLE_VARIABLE, is_disabled
from kerasdiag.profile import RunProfile
from kerasdiag.profiler.fit_measurement import FitMeasurement
from kerasdiag.profiler.publisher import Publisher, ReportTarget

logger = logging.getLogger("kerasdiag")

OUR_FILES = (os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.abspath(compat.__file__)))


Hook = TypeVar("Hook", bound=Callable[..., None])


def guarded(hook: Hook) -> Hook:
    """Keep any fault of ours from the training: it is logged once and recorded in the profile."""

    @functools.wraps(hook)
    def run(self: BottleneckProfiler, *args: Any, **kwargs: Any) -> None:
        if self._disabled:
            return
        try:
            hook(self, *args, **kwargs)
        except Exception as fault:
            self._record_fault(hook.__name__, fault)

    return run  # type: ignore[return-value]  # same signature by construction


def _unused(hook: Hook) -> Hook:
    """Mark a batch hook as Keras marks its own empty ones, so that it need not prepare logs for it."""
    hook._is_default = True  # type: ignore[attr-defined]
    return hook


class BottleneckProfiler:
    """Measures how much of a training is spent waiting for data, and says so.

    ```python
    profiler = BottleneckProfiler()
    model.fit(train_data, epochs=3, callbacks=[profiler])
    profiler.diagnosis.data_wait_fraction    # 0.62
    ```

    It changes neither losses nor weights (the few exceptions are named in the report), and a fault
    of its own never ends a training. ``KERASDIAG_DISABLE=1`` in the environment makes it do nothing.

    The class inherits from no Keras class, so one class serves Keras 2, ``tf_keras`` and Keras 3,
    and importing it imports none of them.

    Args:
        report: Where the result goes: ``"terminal"``, a path (``.json``, ``.txt``), a list of
            these, or None.
        ceilings: Whether to measure, when the fit has completed, how fast its input is without the
            model and its model without the input, which takes some seconds. Weights, optimizer,
            random numbers and the counters of a generator are as they were afterwards, and so are
            the generators of random numbers, lists, dictionaries, arrays up to 16 MiB, attributes
            and variables that code of the input reaches. Where it reaches something that cannot be
            put back (random numbers of TensorFlow or torch, an iterator, an object of a library
            that is not known here), the input is not measured, and the profile says why. Larger
            arrays are taken to be only read; files that the code writes are not looked for. A step
            that prints, writes logs or files by TensorFlow or calls Python whose state is not known
            is not measured either. What Python code prints, or writes to files, is not looked for.
            ``speedup_if_fixed`` is then measured: what an input that takes no time and no cores would bring.

    A copy, by ``copy.deepcopy`` or ``pickle``, keeps the result, not the model or what measures it.

    Raises:
        ReportError: The extension of a report path has no format.
        TypeError: An argument is of another type.
    """

    # What Keras 2 asks its callbacks. Without _supports_tf_logs it converts the logs of every
    # batch for us, and waits for the device to have them.
    _supports_tf_logs = True
    _chief_worker_only = False

    _attached = False  # True where kerasdiag run put it into the fit

    def __init__(
        self,
        report: ReportTarget | Sequence[ReportTarget] | None = "terminal",
        *,
        ceilings: bool = False,
    ) -> None:
        if not isinstance(ceilings, bool):
            raise TypeError(
                f"ceilings takes True or False. Received: {ceilings!r}. A model is measured without a fit by "
                "autofix(generator, model)."
            )
        self._ceilings = ceilings
        self.model: Any = None
        self.params: dict[str, Any] = {}
        self._publisher = Publisher(report)
        self._measurement: FitMeasurement | None = None
        self._past: RunProfile | None = None  # of what this is a copy of
        self._disabled = is_disabled()
        self._fault: str | None = None
        self._next_look = MIN_MEASURED_STEPS
        self._has_verdict = False

    @property
    def profile(self) -> RunProfile:
        """What the latest ``fit`` measured so far; readable at any time, also after Ctrl-C."""
        if self._measurement is None:
            if self._past is not None:
                return self._past
            if self._disabled:
                return RunProfile(not_measured={"data_wait": f"{DISABLE_VARIABLE} is set"})
            if self._fault is not None:  # a fit has begun, and nothing of it was measured
                return RunProfile(state="interrupted", not_measured={"data_wait": self._fault})
            return RunProfile()
        return self._measurement.profile()

    @property
    def diagnosis(self) -> Diagnosis:
        """The judgement of ``profile``."""
        return diagnose(self.profile)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy consists of: tuners copy the callbacks that they are given, scikit-learn pickles them."""
        past = self._past if self._measurement is None else self.profile
        return {**vars(self), "model": None, "_measurement": None, "_past": past}

    def set_params(self, params: dict[str, Any] | None) -> None:
        """Called by Keras."""
        self.params = params or {}

    def set_model(self, model: Any) -> None:
        """Called by Keras."""
        self.model = model

    @guarded
    def on_train_begin(self, logs: Any = None) -> None:
        """Begin to measure this fit."""
        if self._measurement is not None:
            self._measurement.finish("interrupted")
        self._measurement = self._past = None  # if the new one fails, the old one must not be taken for it
        self._fault = None
        self._next_look = MIN_MEASURED_STEPS
        self._has_verdict = False
        self._publisher.begin_fit()
        measurement = self._measurement = FitMeasurement(
            self.model, self.params, self._conclude_abandoned, attached=self._attached, ceilings=self._ceilings
        )
        if measurement.probe is not None:
            compat.hide_from_tracebacks(*OUR_FILES)  # else an error of the user's script ends in a frame of ours
            measurement.on_first_batch.append(self._tell_of_first_batch)
            measurement.probe.on_step_end.append(self._look_at_steps)
            measurement.probe.on_exception.append(self._conclude_interrupted)
            measurement.probe.on_failure.append(self._log_once)

    @guarded
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        if self._measurement is not None:
            self._measurement.begin_epoch(epoch)

    @guarded
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Announce a new verdict and keep the profile."""
        if self._measurement is not None:
            self._measurement.end_epoch()
            self._measurement.exclude(self._announce_and_remember)

    @guarded
    def on_train_end(self, logs: Any = None) -> None:
        """Finish: panel, files, cache."""
        self._conclude("completed")

    @guarded
    def on_test_begin(self, logs: Any = None) -> None:
        """Note that validation begins; ``evaluate`` outside a fit is not measured."""
        if self._measurement is not None and self._measurement.is_running:
            self._measurement.begin_validation()

    @guarded
    def on_test_end(self, logs: Any = None) -> None:
        """Note that validation is over."""
        if self._measurement is not None:
            self._measurement.end_validation()

    def on_predict_begin(self, logs: Any = None) -> None:
        """Called by Keras; ``predict`` is not measured."""

    def on_predict_end(self, logs: Any = None) -> None:
        """Called by Keras; ``predict`` is not measured."""

    # No batch hook does anything: overriding one makes Keras synchronise after every step. The
    # probe sits beside Keras' callback container instead.
    @_unused
    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Unused."""

    @_unused
    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Unused."""

    @_unused
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Unused."""

    @_unused
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Unused."""

    @_unused
    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Unused."""

    @_unused
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Unused."""

    @_unused
    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Unused."""

    @_unused
    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """Unused."""

    def _implements_train_batch_hooks(self) -> bool:
        return False

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False

    @guarded
    def _look_at_steps(self) -> None:
        """Announce the first verdict in the middle of an epoch; look again each time the steps have doubled."""
        measurement = self._measurement
        if measurement is None or measurement.recorder.measured_steps < self._next_look:
            return
        while measurement.recorder.measured_steps >= self._next_look:
            self._next_look *= 2
        measurement.exclude(self._announce_and_remember)

    @guarded
    def _tell_of_first_batch(self) -> None:
        """Say what is wrong with the data now, not when the training has ended."""
        self._publisher.warn(first_batch_findings(self.profile))

    def _announce_and_remember(self) -> None:
        measurement = self._measurement
        if measurement is None:
            return
        is_first = not self._has_verdict and measurement.recorder.measured_steps >= MIN_MEASURED_STEPS
        if not is_first and not measurement.has_time_for_a_verdict:
            return  # very many very short epochs
        self._has_verdict = self._has_verdict or is_first
        measurement.look_at_input()
        diagnosis = self.diagnosis
        self._publisher.announce(diagnosis)
        self._publisher.remember(diagnosis)

    @guarded
    def _conclude_interrupted(self, error: BaseException) -> None:
        """Keep everything when a step or a callback raised: Keras calls no hook then."""
        self._conclude("interrupted", show_panel=isinstance(error, KeyboardInterrupt))

    @guarded
    def _conclude_abandoned(self) -> None:
        """The same where the exception did not pass through us. Which it was is known only if nobody caught it."""
        uncaught = getattr(sys, "last_type", None)
        self._conclude("interrupted", show_panel=uncaught is not None and issubclass(uncaught, KeyboardInterrupt))

    def _conclude(self, state: str, *, show_panel: bool = True, is_wanted: bool = False) -> None:
        """Finish; take a slow input apart where somebody will see the result, now or later (``is_wanted``)."""
        if self._measurement is None:
            return
        self._measurement.finish(state, take_input_apart=show_panel or is_wanted)
        diagnosis = self.diagnosis
        self._publisher.remember(diagnosis)
        if show_panel:
            self._publisher.conclude(diagnosis)
        else:
            self._publisher.write_files(diagnosis)

    def _record_fault(self, hook: str, fault: Exception) -> None:
        reason = f"the profiler failed in {hook} ({type(fault).__name__}: {fault})"
        self._log_once(reason)
        if self._measurement is not None:
            self._measurement.note_not_measured("data_wait" if hook == "on_train_begin" else hook, reason)

    def _log_once(self, reason: str) -> None:
        if self._fault is None:
            logger.warning("kerasdiag: %s; the training goes on without it.", reason)
        self._fault = self._fault or reason
