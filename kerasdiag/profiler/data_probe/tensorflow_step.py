"""TensorFlow: the graph pulls the batch, so it is pulled, and timed, before Keras' own step runs on it."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any

from kerasdiag import compat
from kerasdiag.profile import EAGER_METHOD, GRAPH_METHOD
from kerasdiag.profiler.data_probe.price import Price, price_of_launch, price_of_pull
from kerasdiag.profiler.data_probe.pull_ahead import PullAhead
from kerasdiag.profiler.data_probe.sampling import Sampling
from kerasdiag.profiler.data_probe.way import Recording, Way, leading_shape, say

# Step functions that an earlier fit has run; the first step of others still compiles.
_HAVE_RUN: weakref.WeakSet[Any] = weakref.WeakSet()

# Any stands for Keras' own objects: models, iterators, batches, logs.


class TensorFlowStep(Way):
    """Runs the steps of an execution one by one, each on a batch that is pulled before it.

    Args:
        probe: Takes the marks.
        model: The model.
        access: Row for this Keras.
        epoch_steps: Steps of an epoch as Keras has planned them; None where it does not know.
        epochs: Number of the last epoch.
    """

    def __init__(
        self, probe: Recording, model: Any, access: compat.StepAccess, epoch_steps: int | None, epochs: int
    ) -> None:
        super().__init__(probe)
        self._model = model
        self._access = access
        self._run_eagerly = compat.runs_eagerly(model)
        self.method = EAGER_METHOD if self._run_eagerly else GRAPH_METHOD
        self._uses_xla = compat.compiles_with_xla(model)
        self._seen_shapes: set[Any] = set()
        self._one_step: Callable[[Any], Any] | None = None
        self._call_step: Callable[[Any], Any] | None = None
        self._several = compat.steps_of_execution(model) > 1
        self._steps_of_execution = 1  # Keras 2 has fewer in the last one of an epoch
        # Keras waits for the GPU once an execution. In between a batch that is waited for while the GPU computes costs
        # nothing; so the steps that are measured are waited for, one by one. And Keras 2 waits within its progress
        # bar, which would look as if that had taken the time of the step.
        self._waits_for_device = compat.has_gpu() and (self._several or compat.is_keras_2(model))
        ahead = access.pulls_ahead if self._several and not self._run_eagerly else 0
        if compat.is_distributed(model):
            ahead = 0  # a distributed iterator pulls ahead by itself
        self._launch_price_of: Callable[[Any], Price] | None = None
        self._launch_price: Price | None = None
        self._batches = PullAhead(ahead, self._clock)
        self.sampling = Sampling(allowed=compat.may_sample(access) and not self._run_eagerly)
        self._has_run = self._has_run_original = False
        self._measured_s = self._compile_s = 0.0
        self._trace_failed = False
        self._iterator: Any = None
        self._epoch_steps = epoch_steps
        self._planned_steps = None if epoch_steps is None else epoch_steps * epochs
        self._position = 0  # in the epoch

    def begin_batch(self, batch: int) -> None:
        """Note where in its epoch the next execution begins."""
        self._position = batch

    def run(self, train_function: Any, arguments: tuple[Any, ...]) -> Any:
        """Pull, time, run Keras' step, time; as often as the execution has steps."""
        (iterator,) = arguments
        self._iterator = iterator
        if self._run_eagerly is not compat.makes_eager_steps(self._model, train_function, self._access):
            self._run_eagerly = not self._run_eagerly
            self.forget()
        call_step = self._call_step
        if call_step is None:
            obstacle = self._prepare(train_function, iterator)
            if obstacle:
                try:
                    logs = self._function_for_keras(train_function)(iterator)
                except Exception:
                    if self._trace_failed:  # before any batch was pulled; one may show what the mistake is
                        with contextlib.suppress(Exception):
                            self._probe.show(next(iterator))
                    raise
                # Only now: where the original fails as well, it is the user's own mistake that counts.
                self._probe.give_up(obstacle)
                return logs
            call_step = self._call_step
            assert call_step is not None, "made just now"
        count = compat.steps_of_execution(self._model) if self._several else 1
        self._steps_of_execution = max(count, self._steps_of_execution)
        if self._may_be_partial(count) or self.sampling.wants(count):
            return self._run_measured(call_step, iterator, count)
        return self._run_unmeasured(train_function, call_step, iterator, count)

    def _may_be_partial(self, count: int) -> bool:
        """Whether the input may end within this execution: only step by step can its steps be counted."""
        return count > 1 and (self._epoch_steps is None or self._position + count > self._epoch_steps)

    def _run_measured(self, call_step: Callable[[Any], Any], iterator: Any, count: int) -> Any:
        logs: Any = None
        batches = self._batches
        batches.begin(iterator, count)
        for position in range(count):
            self._price_a_pull()
            try:
                start_s, batch, ready_s = batches.pull()
            except Exception as error:
                if position and compat.is_end_of_input(error) and compat.ends_in_partial_execution(self._access):
                    break
                raise
            if position < count - 1:
                batches.order()
            self._keep(batch)
            logs = call_step(batch)
            if self._waits_for_device:
                compat.wait_for_logs(logs)
            end_s = self._clock()
            try:
                compiled = self._has_compiled(batch)
                self._probe.record(start_s, ready_s, end_s, compiled=compiled)
                self._price_a_launch(batch)
                if compiled:
                    self._compile_s += end_s - ready_s
                else:
                    self._measured_s += end_s - start_s
                self._consider_sampling()
            except Exception as fault:
                self._probe.stop_recording(f"the profiler failed in a step ({say(fault)})")
        return logs

    def _price_a_launch(self, batch: Any) -> None:
        """Take one more sample of what starting a step costs; Keras starts all steps of an execution at once."""
        try:
            if self._launch_price is None and self._launch_price_of is not None:
                make, self._launch_price_of = self._launch_price_of, None
                self._launch_price = make(batch)
            elif self._launch_price is not None:
                spent_s = self._launch_price.sample()
                own_s = self._launch_price.seconds / self._steps_of_execution
                self._probe.note_launch(own_s, spent_s)
                self.lost_launch_s = self._launch_price.seconds - own_s
                if self._launch_price.is_known:
                    self._launch_price = None
        except Exception:  # the wait is worth more than this price
            self._launch_price = None

    def _consider_sampling(self) -> None:
        steps = self._probe.steps
        if steps % 32 == 0:
            cost_s = self._probe.bookkeeping_s / steps + self._unfused_s()
            if self._pays(cost_s):
                self.sampling.consider(steps, cost_s, self._measured_s / steps)

    def _unfused_s(self) -> float:
        """What a step costs more alone than within an execution of several: a pull and a start of its own."""
        if not self._several or self._pull_price is None:
            return 0.0
        return self._pull_price.seconds + self.lost_launch_s

    def _pays(self, cost_s: float) -> bool:
        """Whether the steps to come save more than it takes to trace, and compile, Keras' own execution of several."""
        if not self._several or self._planned_steps is None:
            return True
        return cost_s * (self._planned_steps - self._probe.steps) > self._compile_s

    def _run_unmeasured(self, train_function: Any, call_step: Callable[[Any], Any], iterator: Any, count: int) -> Any:
        start_s = self._clock()
        logs = train_function(iterator) if count > 1 else call_step(next(iterator))
        if count > 1 and not self._has_run_original:
            self._has_run_original = True  # it was traced only now
            usual_s = count * self._measured_s / max(1, self._probe.steps)
            self._probe.note_compile(max(0.0, self._clock() - start_s - usual_s))
        for _ in range(count):
            self._probe.skip(start_s)
        return logs

    def _prepare(self, train_function: Any, iterator: Any) -> str | None:
        """Build the step function before the first batch is pulled, so that giving up loses none; or say why not."""
        began_s = self._clock()
        try:
            if not compat.is_keras_own_function(train_function, self._access):
                return "model.train_function is not Keras' own: something else has replaced or wrapped it"
            if self._run_eagerly:
                self._call_step = compat.eager_step_function(self._model, train_function, self._access)
            else:
                spec = iterator.element_spec
                self._one_step = compat.one_step_function(self._model, train_function, self._access, spec)
                self._call_step = compat.as_called(self._one_step, spec)
        except Exception as fault:
            self._trace_failed = True
            return f"the step could not be taken apart ({say(fault)})"
        finally:
            spent_s = self._clock() - began_s
            self._probe.exclude(spent_s)
            self._probe.note_compile(spent_s)
            self._compile_s += spent_s
        self._price_pulls(lambda: price_of_pull(iterator.element_spec, self._clock))
        if not self._run_eagerly:
            self._has_run = self._one_step in _HAVE_RUN
            with contextlib.suppress(Exception):  # the wait is worth more than this price
                self._launch_price_of = price_of_launch(iterator.element_spec, self._clock)
        return None

    def _function_for_keras(self, train_function: Any) -> Any:
        """What Keras goes on with: a failed trace leaves its functions half made, and their error says nothing."""
        return compat.fresh_train_function(self._model, train_function) if self._trace_failed else train_function

    def _has_compiled(self, batch: Any) -> bool:
        """Tell whether this step was the first of its function, or compiled for a shape of batch it had not met.

        Nothing else compiles: the function has one signature, and is traced once.
        """
        if self._one_step is None:
            return False  # runs eagerly
        compiled = not self._has_run
        self._has_run = True
        _HAVE_RUN.add(self._one_step)
        if self._uses_xla:
            shape = leading_shape(batch)
            compiled = compiled or shape not in self._seen_shapes
            self._seen_shapes.add(shape)
        return compiled

    def pipeline(self) -> Any:
        """The iterator of the latest step."""
        return self._iterator

    def traced(self) -> Any:
        """The function that ran in place of the original, which has no graph."""
        return self._one_step

    def forget(self) -> None:
        """A callback made a new function."""
        self._one_step = self._call_step = None

    def release(self) -> None:
        """Drop model and input, and end the thread."""
        self._one_step = self._call_step = self._model = self._iterator = self._launch_price = self._launch_price_of = (
            None
        )
        self._batches.release()
        super().release()
