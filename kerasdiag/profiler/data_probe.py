"""How the wait becomes visible: the batch is pulled, and timed, before Keras' own step runs on it.

Keras on TensorFlow pulls the batch inside ``train_function``, where no callback can see it. The
probe puts a function of its own in that place. It holds the place only from the moment every
callback's ``on_train_batch_begin`` has returned to the moment Keras makes the call: between steps,
and whenever user code runs, ``model.train_function`` is the original, so an exception or Ctrl-C
anywhere leaves nothing behind.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

from kerasdiag import compat
from kerasdiag.fit_call import FitCall
from kerasdiag.profiler.pull_overhead import LIMIT_S, PullOverhead
from kerasdiag.profiler.recorder import StepRecorder

METHOD = "one-step-function"
METHOD_EAGER = "one-step-eager"

# Any stands for Keras' own objects: models, iterators, batches, logs.


class StepProbe:
    """Times the steps of one ``fit`` for any number of profilers.

    Attributes:
        method: Name of the method, for the profile.
        ran_out: Whether the input has ended an epoch, instead of a count of steps.
        recorders: Those who want the marks.
        on_step_end: Called after each step, when all callbacks have run.
        on_failure: Called with a reason if the probe has to give up; training then goes on alone.
        on_exception: Called with the exception that a step or a callback raised, before it goes on
            its way; the probe has removed itself by then.
    """

    def __init__(
        self,
        model: Any,
        fit: FitCall,
        access: compat.StepAccess,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.model = model
        self.recorders: list[StepRecorder] = []
        self.on_step_end: list[Callable[[], None]] = []
        self.on_failure: list[Callable[[str], None]] = []
        self.on_exception: list[Callable[[BaseException], None]] = []
        self.bookkeeping_s = 0.0
        self.steps = 0
        self.ran_out = False
        self._frame = fit.frame
        self._access = access
        self._clock = clock
        self._run_eagerly = bool(model.run_eagerly)
        self.method = METHOD_EAGER if self._run_eagerly else METHOD
        self._uses_xla = compat.compiles_with_xla(model)
        self._seen_shapes: set[Any] = set()
        self._traces = 0
        self.original: Any = None
        self._one_step: Callable[[Any], Any] | None = None
        self._obstacle = ""
        self._pull_overhead: PullOverhead | None = None
        self._graph_attribute = None if self._run_eagerly else compat.graph_attribute(model, access)
        self._timed = _TimedTrainFunction(self)
        # Keras makes the container for this fit and drops it with it. It holds us, not we it: so
        # a dead reference tells that the fit is over, however it ended.
        self._container = weakref.ref(fit.callbacks)

    @classmethod
    def attached_to(cls, fit: FitCall) -> StepProbe | None:
        """Return the probe that already serves this fit, if another profiler came first."""
        hook = vars(fit.callbacks).get("on_train_batch_begin")
        probe = getattr(hook, "__self__", None)
        if not isinstance(probe, cls):
            return None
        if probe._frame != fit.frame:  # of an earlier fit with the same container, which an exception ended
            probe.remove()
            return None
        return probe

    def install(self) -> None:
        """Begin to time steps."""
        left_behind = vars(self.model).get("train_function")
        if isinstance(left_behind, _TimedTrainFunction):  # Ctrl-C hit the moment between arming and the call
            vars(self.model)["train_function"] = left_behind.original
        # Keras calls these two on its container before and after each step in every version,
        # whichever batch hooks the callbacks implement. An instance attribute shadows the method
        # for this fit only, and no callback hook has to be overridden (which would make Keras
        # synchronise, or run other callbacks' hooks that it would have skipped).
        container: Any = self._container()
        container.on_train_batch_begin = self._on_batch_begin
        container.on_train_batch_end = self._on_batch_end

    def remove(self) -> None:
        """Stop timing; the container and the model are as they were."""
        container: Any = self._container()
        for name in ("on_train_batch_begin", "on_train_batch_end") if container is not None else ():
            vars(container).pop(name, None)
        self._disarm()
        self._drop_listeners()

    def forget_model(self) -> None:
        """Keep the numbers only, once removed: a profiler outlives its models."""
        if not self.recorders and vars(self.model).get("train_function") is not self._timed:
            self._one_step = None
            self.model = _NoModel()
            self.original = None
            if self._pull_overhead is not None:
                self._pull_overhead.release()

    def _drop_listeners(self) -> None:
        # They refer to the callback, and so to the model: no cycle is left behind.
        self.recorders, self.on_step_end, self.on_failure, self.on_exception = [], [], [], []

    def exclude(self, duration_s: float) -> None:
        """Take time that was ours, not the training's, out of the last step, for every profiler."""
        for recorder in self.recorders:
            recorder.exclude(duration_s)

    def remove_listener(self, recorder: StepRecorder) -> None:
        """Stop recording for one profiler; with the last one the probe goes."""
        if recorder in self.recorders:
            self.recorders.remove(recorder)
        if not self.recorders:
            self.remove()

    def _on_batch_begin(self, batch: int, logs: Any = None) -> None:
        try:
            container: Any = self._container()
            type(container).on_train_batch_begin(container, batch, logs)
        except BaseException as error:
            self._report_exception(error)
            raise
        self._arm()

    def _on_batch_end(self, batch: int, logs: Any = None) -> None:
        try:
            container: Any = self._container()
            if self._graph_attribute is not None and self.steps == 1:
                self._call_with_graph_shown(container, batch, logs)
            else:
                type(container).on_train_batch_end(container, batch, logs)
        except BaseException as error:
            self._report_exception(error)
            raise
        try:
            if not self.steps and self.recorders:
                self._give_up("this fit runs its steps without Keras' train_function")
            end_s = self._clock()
            for recorder in self.recorders:
                recorder.end_step(end_s)
            self.bookkeeping_s += self._clock() - end_s
            for notify in self.on_step_end:
                notify()
        except Exception as fault:
            self._stop_recording(f"the profiler failed after a step ({_name(fault)})")
        except BaseException as interrupt:  # Ctrl-C while we print a verdict
            self._report_exception(interrupt)
            raise

    def _call_with_graph_shown(self, container: Any, batch: int, logs: Any) -> None:
        """Let Keras' TensorBoard find the traced graph: the original has none, as ours ran instead."""
        attribute = str(self._graph_attribute)
        attributes = vars(self.model)
        original = attributes.get(attribute)
        shown = attributes[attribute] = _ShownFunction(original, self._one_step)
        try:
            type(container).on_train_batch_end(container, batch, logs)
        finally:
            if attributes.get(attribute) is shown:
                attributes[attribute] = original

    def _arm(self) -> None:
        # Through __dict__: Keras' own __setattr__ would take the function for a layer or a
        # variable to track, and costs more than the rest of the probe.
        attributes = vars(self.model)
        current = attributes.get("train_function")
        if current is None or isinstance(current, _TimedTrainFunction):
            return
        if current is not self.original:  # first step, or a callback made a new one
            self.original, self._one_step, self._traces = current, None, 0
        attributes["train_function"] = self._timed

    def _disarm(self) -> None:
        attributes = vars(self.model)
        if attributes.get("train_function") is self._timed:
            attributes["train_function"] = self.original

    def run(self, iterator: Any, caller: Any) -> Any:
        """Stand in for ``train_function(iterator)``: pull, time, run Keras' step, time."""
        self._disarm()
        if self._container() is None or not self._frame.is_frame(caller):
            return self.original(iterator)  # left armed by an exception; another fit found it
        try:
            return self._run_step(iterator)
        except StopIteration:  # the input has run out: no step, the epoch is over
            self.ran_out = True
            raise
        except BaseException as error:
            self._report_exception(error)
            raise

    def _run_step(self, iterator: Any) -> Any:
        one_step = self._one_step
        if one_step is None:
            began_s = self._clock()
            one_step = self._prepare(iterator)
            self.exclude(self._clock() - began_s)
        if one_step is None:
            logs = self.original(iterator)
            # Only now: where the original fails as well, it is the user's own mistake that counts.
            self._give_up(self._obstacle)
            return logs
        self._price_a_pull()
        start_s = self._clock()
        batch = next(iterator)
        ready_s = self._clock()
        logs = one_step(batch)
        end_s = self._clock()
        try:
            compiled = self._has_compiled(one_step, batch)
            for recorder in self.recorders:
                recorder.add_step(start_s, ready_s, end_s, compiled=compiled)
            self.steps += 1
            self.bookkeeping_s += self._clock() - end_s
        except Exception as fault:
            self._stop_recording(f"the profiler failed in a step ({_name(fault)})")
        return logs

    def _prepare(self, iterator: Any) -> Callable[[Any], Any] | None:
        """Build the step function before the first batch is pulled, so that giving up loses none."""
        try:
            if not compat.is_keras_own_function(self.original, self._access, run_eagerly=self._run_eagerly):
                self._obstacle = "model.train_function is not Keras' own: something else has replaced or wrapped it"
                return None
            if self._run_eagerly:
                self._one_step = compat.eager_step_function(self.original)
            else:
                self._one_step = compat.one_step_function(self.original, self._access, iterator.element_spec)
        except Exception as fault:
            self._obstacle = f"the step could not be taken apart ({_name(fault).splitlines()[0]})"
            return None
        try:
            self._pull_overhead = PullOverhead(iterator.element_spec, self._clock)
        except Exception as fault:
            self._stop_recording(f"the cost of pulling a batch could not be measured ({_name(fault)})")
        return self._one_step

    def _price_a_pull(self) -> None:
        """Take one more sample of what asking costs; its time is nobody's."""
        overhead = self._pull_overhead
        if overhead is None or overhead.is_known or not self.steps:
            return
        try:
            began_s = self._clock()
            overhead.sample()
            spent_s = self._clock() - began_s
            for recorder in self.recorders:
                recorder.pull_overhead_s = overhead.seconds
                recorder.exclude(min(spent_s, LIMIT_S))  # more is not the price: the training did wait
        except Exception as fault:
            self._stop_recording(f"the cost of pulling a batch could not be measured ({_name(fault)})")

    def _has_compiled(self, one_step: Any, batch: Any) -> bool:
        """Tell whether this step traced, or compiled for a shape of batch it had not met."""
        if self._run_eagerly:
            return False
        traces = one_step.experimental_get_tracing_count()
        compiled = traces != self._traces
        self._traces = traces
        if self._uses_xla:
            shape = _leading_shape(batch)
            compiled = compiled or shape not in self._seen_shapes
            self._seen_shapes.add(shape)
        return bool(compiled)

    def _stop_recording(self, reason: str) -> None:
        """After a fault of ours: the step goes on as it began, only unobserved.

        To hand over to the original in the middle of a fit would change the training on Keras 2,
        where each traced function has random numbers of its own.
        """
        listeners = self.on_failure
        self._drop_listeners()
        for notify in listeners:
            notify(reason)

    def _give_up(self, reason: str) -> None:
        """Leave the training to Keras from here on."""
        listeners = self.on_failure
        self.remove()
        for notify in listeners:
            notify(reason)

    def _report_exception(self, error: BaseException) -> None:
        listeners = self.on_exception
        self.remove()
        for notify in listeners:
            notify(error)


class _TimedTrainFunction:
    """What stands in ``model.train_function`` while Keras makes the call."""

    def __init__(self, probe: StepProbe) -> None:
        self._probe = probe

    @property
    def original(self) -> Any:
        return self._probe.original

    def __call__(self, iterator: Any) -> Any:
        return self._probe.run(iterator, sys._getframe(1))


class _NoModel:
    """Stands where a model was."""


class _ShownFunction:
    """Keras' own function to whoever calls it, the traced one to whoever looks at its graph."""

    def __init__(self, original: Any, traced: Any) -> None:
        self._original = original
        self._traced = traced

    def __call__(self, *arguments: Any) -> Any:
        return self._original(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_traced"], name)


def _name(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}"


def _leading_shape(batch: Any) -> Any:
    """Shape of the first tensor of a batch, as something to look up in a set."""
    first = batch
    while isinstance(first, (tuple, list, dict)) and first:
        first = next(iter(first.values() if isinstance(first, dict) else first))
    try:
        return tuple(first.shape)
    except (AttributeError, TypeError, ValueError):  # no dense tensor: its shape says nothing about compiling
        return None
