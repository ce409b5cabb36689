"""Takes the place of ``train_function`` for each call of it, and reads the clock there.

It holds the place only from the moment every callback's ``on_train_batch_begin`` has returned to the moment Keras makes
the call: between steps, and whenever user code runs, ``model.train_function`` is the original, so an exception or Ctrl-C
anywhere leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

from kerasdiag import compat
from kerasdiag.ceilings.compute import measure_step
from kerasdiag.fit_call import FitCall
from kerasdiag.profiler.callback_clock import CallbackClock
from kerasdiag.profiler.data_probe.gap import Gap
from kerasdiag.profiler.data_probe.jax_iterator import JaxIterator
from kerasdiag.profiler.data_probe.tensorflow_step import TensorFlowStep
from kerasdiag.profiler.data_probe.way import Way, say
from kerasdiag.profiler.recorder import StepRecorder

# Any stands for Keras' own objects: models, iterators, batches, logs.


class StepProbe:
    """Times the steps of one ``fit`` for any number of profilers.

    Attributes:
        method: Name of the method, for the profile.
        ran_out: Whether the input has ended an epoch, instead of a count of steps.
        recorders: Those who want the marks.
        callbacks: Times the other callbacks of the fit.
        compile_s: Seconds in which functions were traced or compiled outside of steps.
        launch_s: Seconds that starting a step costs, None where that was not measured.
        bookkeeping_s: Seconds that the probe itself took, in all steps.
        steps: Steps that were measured.
        skipped_steps: Steps that were not.
        before_pull: Called before each batch is asked for, at the end of everything else; no more once one has raised.
        on_first_batch: Called with the first batch, before its step. Must not raise.
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
        self.clock = clock
        self.recorders: list[StepRecorder] = []
        self.before_pull: list[Callable[[], None]] = []
        self.on_first_batch: list[Callable[[Any], None]] = []
        self._shown_s = 0.0
        self.on_step_end: list[Callable[[], None]] = []
        self.on_failure: list[Callable[[str], None]] = []
        self.on_exception: list[Callable[[BaseException], None]] = []
        self.callbacks = CallbackClock(clock)
        self.callbacks.on_batch_hook.append(self._add_callbacks)
        self.bookkeeping_s = 0.0
        self.compile_s = 0.0
        self.launch_s: float | None = None
        self.steps = 0
        self.skipped_steps = 0
        self.ran_out = False
        self.original: Any = None
        self._frame = fit.frame
        self._access = access
        self._last_batch_end_s: float | None = None
        self._way = self._choose_way(access, fit)
        self.method = self._way.method
        self._marks_step = compat.step_marker(model)
        self._graph_attribute = None if compat.runs_eagerly(model) else compat.graph_attribute(model, access)
        self._timed = _TimedTrainFunction(self)
        # Keras makes the container for this fit and drops it with it. It holds us, not we it: so
        # a dead reference tells that the fit is over, however it ended.
        self._container = weakref.ref(fit.callbacks)

    def _choose_way(self, access: compat.StepAccess, fit: FitCall) -> Way:
        if access.entry == compat.ITERATOR:
            return JaxIterator(self, self.model, compat.ready_input(fit, access))
        if access.entry == compat.GAP:
            return Gap(self, self.model, self._last_hook_s, compat.ready_input(fit, access))
        params = getattr(fit.callbacks, "params", None) or {}
        return TensorFlowStep(self, self.model, access, params.get("steps"), int(params.get("epochs") or 1))

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
        self.callbacks.join(container)
        container.on_train_batch_begin = self._on_batch_begin
        container.on_train_batch_end = self._on_batch_end

    def remove(self) -> None:
        """Stop timing; the container and the model are as they were."""
        container: Any = self._container()
        if container is not None:
            for name in ("on_train_batch_begin", "on_train_batch_end"):
                vars(container).pop(name, None)
            CallbackClock.leave(container)
        self._disarm()
        self._drop_listeners()

    def forget_model(self) -> None:
        """Keep the numbers only, once removed: a profiler outlives its models."""
        if not self.recorders and vars(self.model).get("train_function") is not self._timed:
            self._way.release()
            self.model = _NoModel()
            self.original = None

    def _drop_listeners(self) -> None:
        # They refer to the callback, and so to the model: no cycle is left behind.
        self.recorders, self.on_step_end, self.on_failure, self.on_exception = [], [], [], []
        self.on_first_batch, self.before_pull = [], []

    def record(
        self, start_s: float, ready_s: float, end_s: float, *, hidden_wait_s: float = 0.0, compiled: bool = False
    ) -> None:
        """Keep the marks of a step, for every profiler."""
        began_s = self.clock()
        for recorder in self.recorders:
            recorder.add_step(start_s, ready_s, end_s, hidden_wait_s=hidden_wait_s, compiled=compiled)
        if self._shown_s:
            self.exclude(self._shown_s)
            self._shown_s = 0.0
        self.steps += 1
        self.bookkeeping_s += self.clock() - began_s

    def show(self, batch: Any) -> None:
        """Show a batch, before its step, to those who wait for the first; the time is nobody's."""
        if not self.on_first_batch:
            return
        waiting, self.on_first_batch = self.on_first_batch, []
        began_s = self.clock()
        for look in waiting:
            look(batch)
        self._shown_s = self.clock() - began_s

    def skip(self, start_s: float) -> None:
        """Note a step that is not measured."""
        self.skipped_steps += 1
        for recorder in self.recorders:
            recorder.skip_step(start_s)

    def exclude(self, duration_s: float) -> None:
        """Take time that was ours, not the training's, out of the last step, for every profiler."""
        for recorder in self.recorders:
            recorder.exclude(duration_s)

    def note_pull_overhead(self, seconds: float, longest_s: float, spent_s: float) -> None:
        """Note what asking for a batch costs, what it may cost, and how long it took to find out."""
        for recorder in self.recorders:
            recorder.pull_overhead_s = seconds
            recorder.longest_pull_s = longest_s
            recorder.exclude(spent_s)

    def note_launch(self, seconds: float, spent_s: float) -> None:
        """Note what starting a step costs, and how long it took to find out."""
        self.launch_s = seconds
        self.exclude(spent_s)

    def note_compile(self, duration_s: float) -> None:
        """Note that a function was traced or compiled outside of any step."""
        self.compile_s += duration_s

    def end_epoch(self) -> None:
        """The last step of an epoch is over: where the program runs ahead, when the device is done with it."""
        drained_s = self._way.drained_s()
        for recorder in self.recorders:
            if drained_s is not None:
                recorder.extend_step(drained_s)
            recorder.end_epoch()

    def added_s_per_step(self) -> float | None:
        """What measuring has added to a step of this training, in seconds; None before the first."""
        if not self.steps:
            return None
        return (self.bookkeeping_s + self.steps * self._way.lost_launch_s) / (self.steps + self.skipped_steps)

    def keep_a_batch(self) -> None:
        """Keep a batch of this training, for ``measure_step``."""
        self._way.keeps_batch = True

    def measure_step(self) -> tuple[float, int] | str:
        """Return the seconds of a step on the batch that was kept, and from how many steps; or why not.

        Call it once the training is over; everything is as it was afterwards.
        """
        if self._way.kept_batch is None:
            return "no step of this fit was measured"
        return measure_step(self.model, self._access, self.original, self._way.kept_batch)

    def pipeline(self) -> Any:
        """The tf.data iterator that the training reads, where it is at hand; else None."""
        return self._way.pipeline()

    def _add_callbacks(self, duration_s: float) -> None:
        for recorder in self.recorders:
            recorder.add_callbacks(duration_s)

    def _last_hook_s(self) -> float | None:
        ends = [end_s for end_s in (self._last_batch_end_s, self.callbacks.last_end_s) if end_s is not None]
        return max(ends) if ends else None

    def remove_listener(self, recorder: StepRecorder) -> None:
        """Stop recording for one profiler; with the last one the probe goes."""
        if recorder in self.recorders:
            self.recorders.remove(recorder)
        if not self.recorders:
            self.remove()

    def _on_batch_begin(self, batch: int, logs: Any = None) -> None:
        began_s = self.clock()
        try:
            self._way.begin_batch(batch)
            if not self._way.pulls_between_steps:
                self._tell_before_pull()
        except Exception as fault:
            self.stop_recording(f"the profiler failed before a step ({say(fault)})")
        self.bookkeeping_s += self.clock() - began_s
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
            if self._graph_attribute is not None and self._way.traced() is not None:
                self._call_with_graph_shown(container, batch, logs)
                self._graph_attribute = None  # who wants a graph looks at the first step
            else:
                type(container).on_train_batch_end(container, batch, logs)
        except BaseException as error:
            self._report_exception(error)
            raise
        try:
            if not self.steps and self.recorders:
                self.give_up("this fit runs its steps without Keras' train_function")
            end_s = self.clock()
            for recorder in self.recorders:
                recorder.end_step(end_s)
            self.bookkeeping_s += self.clock() - end_s
            for notify in self.on_step_end:
                notify()
            if self._way.pulls_between_steps:
                self._tell_before_pull()
            self._last_batch_end_s = self.clock()
            self._way.end_batch()
        except Exception as fault:
            self.stop_recording(f"the profiler failed after a step ({say(fault)})")
        except BaseException as interrupt:  # Ctrl-C while we print a verdict
            self._report_exception(interrupt)
            raise

    def _tell_before_pull(self) -> None:
        listeners, self.before_pull = self.before_pull, []
        with contextlib.suppress(Exception):  # they read Keras' own queue, and the training does not hang on that
            for tell in listeners:
                tell()
            self.before_pull = listeners

    def _call_with_graph_shown(self, container: Any, batch: int, logs: Any) -> None:
        """Let Keras' TensorBoard find the traced graph: the original has none, as ours ran instead."""
        attribute = str(self._graph_attribute)
        attributes = vars(self.model)
        original = attributes.get(attribute)
        shown = attributes[attribute] = _ShownFunction(original, self._way.traced())
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
            self.original = current
            self._way.forget()
        attributes["train_function"] = self._timed

    def _disarm(self) -> None:
        attributes = vars(self.model)
        if attributes.get("train_function") is self._timed:
            attributes["train_function"] = self.original

    def run(self, arguments: tuple[Any, ...], caller: Any) -> Any:
        """Stand in for ``train_function(*arguments)``."""
        self._disarm()
        if self._container() is None or not self._frame.is_frame(caller):
            return self.original(*arguments)  # left armed by an exception; another fit found it
        try:
            with self._marks_step(self.steps):
                return self._way.run(self.original, arguments)
        except StopIteration:  # the input has run out: no step, the epoch is over
            self.ran_out = True
            raise
        except BaseException as error:
            self._report_exception(error)
            raise

    def stop_recording(self, reason: str) -> None:
        """After a fault of ours: the step goes on as it began, only unobserved.

        To hand over to the original in the middle of a fit would change the training on Keras 2,
        where each traced function has random numbers of its own.
        """
        listeners = self.on_failure
        self._drop_listeners()
        for notify in listeners:
            notify(reason)

    def give_up(self, reason: str) -> None:
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

    def __call__(self, *arguments: Any) -> Any:
        return self._probe.run(arguments, sys._getframe(1))


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
