"""Everything that is measured in one ``fit``, put together as a RunProfile."""

from __future__ import annotations

import dataclasses
import platform
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

import kerasdiag
from kerasdiag import compat
from kerasdiag.ceilings import Ceilings
from kerasdiag.diagnosis import PARTLY_INPUT_BOUND_FRACTION
from kerasdiag.environment.cores import usable_cores
from kerasdiag.environment.process_rank import process_rank
from kerasdiag.environment.window import MachineWindow, WindowWatch
from kerasdiag.first_batch import FirstBatch, ModelFront
from kerasdiag.fit_call import FitCall, find_fit_call
from kerasdiag.input_identity import InputIdentity, identify_input
from kerasdiag.profile import RunProfile
from kerasdiag.profiler.both_ceilings import measure_ceilings
from kerasdiag.profiler.data_probe.probe import StepProbe
from kerasdiag.profiler.differences import known_differences
from kerasdiag.profiler.first_batch.look import look_at
from kerasdiag.profiler.first_batch.model_front import front_of
from kerasdiag.profiler.gpu import GpuSampler
from kerasdiag.profiler.input_stages.blame import StageBlame
from kerasdiag.profiler.recorder import StepRecorder
from kerasdiag.step_times import CallbackTime

# Any stands for Keras' own objects.

INPUT_ENDED_REMARK = (
    "this input ended before Keras expected it to, and Keras alone then counts one optimizer update and one loss too "
    "many; with the profiler the count is right."
)

UPPER_BOUND_REMARK = (
    "on JAX the outputs of a step are at hand only after the last step of an execution: with steps_per_execution, waits "
    "within an execution that the device spent computing are counted as waiting, so the wait is an upper bound."
)


class FitMeasurement:
    """Measures one fit, from ``on_train_begin`` on, until it is finished."""

    def __init__(
        self,
        model: Any,
        params: dict[str, Any],
        on_abandoned: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.perf_counter,
        *,
        attached: bool = False,
        ceilings: bool = False,
    ) -> None:
        """Begin to measure.

        Args:
            model: The model that is being trained.
            params: What Keras tells its callbacks: ``epochs``, ``steps``, ``verbose``.
            on_abandoned: Called when the fit is gone and nobody has called ``finish``.
            clock: Seconds, monotonic.
            attached: Whether somebody else than the script put the profiler into this fit.
            ceilings: Whether input and model are measured alone, once the fit has completed.
        """
        self._clock = clock
        self._origin_s = clock()
        self._thread_id = threading.get_ident()
        self._state = "running"
        self._end_s: float | None = None
        self._gone_s: float | None = None  # when the fit was first seen to be gone
        self._stopped_early = False
        self._callbacks: tuple[CallbackTime, ...] | None = None  # once the fit is over
        self._machine: MachineWindow | None = None  # the same
        self._wants_ceilings = ceilings
        self._ceilings: Ceilings | None = None
        self._validation_s = 0.0
        self._verdicts_s = 0.0
        self._first_batch: FirstBatch | None = None
        self.on_first_batch: list[Callable[[], None]] = []  # called once it has been looked at, before its step
        self._validation_began_s: float | None = None
        self._not_measured: dict[str, str] = {}
        self._remarks: list[str] = []
        self._counts_one_update_too_many = False
        self.recorder = StepRecorder(self._origin_s)
        self._epoch_began = (0, 0, 0.0)  # steps, measured steps, and their seconds of asking, of the epochs before
        self.probe: StepProbe | None = None
        self._gpu = GpuSampler(clock, keep_sampling=lambda: self.is_running)
        fit = find_fit_call(model)
        # Only which fit it is: its variables would keep the data alive as long as the profiler.
        self._frame = fit.frame if fit is not None else None
        facts = self._collect_facts(model, params, fit.arguments if fit is not None else {})
        self._facts = dataclasses.replace(facts, attached=attached)
        self._window = WindowWatch()
        self._blame = self._look_out_for_stages(fit, facts)
        self._attach(model, fit)
        # Keras drops its callback container with the fit, however that ended; at the latest this
        # runs when the interpreter exits. It is how a Ctrl-C inside Keras' own code is noticed.
        self._end_of_fit = weakref.finalize(fit.callbacks, on_abandoned) if fit is not None else None
        try:
            self._gpu.start(self._origin_s)
        except Exception as fault:
            self.note_not_measured("gpu", f"the sampler could not be started ({type(fault).__name__}: {fault})")

    @property
    def is_running(self) -> bool:
        """Whether the fit still runs. Keras calls no hook when a fit ends by an exception."""
        if self._state != "running":
            return False
        if self._frame is None or self._frame.is_on_stack(self._thread_id):
            return True
        self._gone_s = self._gone_s or self._clock()
        return False

    def begin_epoch(self, epoch: int) -> None:
        """Note the begin of an epoch."""
        self.recorder.begin_epoch(epoch)

    def end_epoch(self) -> None:
        """Note the end of an epoch; validation is over, too."""
        self._end_steps()

    def begin_validation(self) -> None:
        """Note that validation inside the fit begins. An ``evaluate`` that a callback calls is that callback's time."""
        if self.probe is not None and self.probe.callbacks.hook not in (None, "on_test_begin"):
            return
        self._end_steps()
        self._validation_began_s = self._clock()
        if self.probe is not None:
            self.probe.callbacks.in_validation = True

    def end_validation(self) -> None:
        """Note that validation is over."""
        if self._validation_began_s is not None:
            spent_s = self._clock() - self._validation_began_s
            self._validation_s += spent_s
            self.recorder.epochs.add_validation(spent_s)
            self._validation_began_s = None
        if self.probe is not None:
            self.probe.callbacks.in_validation = False

    def _end_steps(self) -> None:
        """No step follows the last one directly."""
        seen, measured, asked_s = self._epoch_began
        now = self._epoch_began = (self.recorder.steps_seen, self.recorder.measured_steps, self.recorder.asked_s)
        if now[0] > seen:
            each_s = (now[2] - asked_s) / max(1, now[1] - measured)
            self._blame.end_epoch(now[0] - seen, each_s * (now[0] - seen))
        if self.probe is not None and self.recorder in self.probe.recorders:
            self.probe.end_epoch()
        else:
            self.recorder.end_epoch()

    def finish(self, state: str, *, take_input_apart: bool = False) -> None:
        """Stop measuring. Does nothing the second time.

        Args:
            state: ``"completed"`` or ``"interrupted"``.
            take_input_apart: Whether to spend up to two seconds on which stage of a slow input is to blame.
        """
        if self._state == "running":
            # Keras calls no hook when a fit ends by an exception, and a notebook may find out an hour later. Asked anew:
            # the look of another thread may have missed a fit that still runs.
            self._end_s = self._clock() if self.is_running else self._gone_s
            self._state = state
            self._end_steps()
            self._stopped_early = self.probe is not None and bool(getattr(self.probe.model, "stop_training", False))
            self._machine = self._window.look()
        if self._end_of_fit is not None:
            self._end_of_fit.detach()
        if self.probe is not None:
            if self._callbacks is None:  # hooks that run after ours are no part of the training
                self._callbacks = self.probe.callbacks.times()
                self.probe.callbacks.on_epoch_hook.remove(self.recorder.epochs.add_callback)
            self.probe.remove_listener(self.recorder)
        self._gpu.stop()
        if self._wants_ceilings and self._ceilings is None and state == "completed":
            self._ceilings = measure_ceilings(
                self.probe, self._blame.data, self._facts.training_input, self.recorder.loop_s(), self._busy_s()
            )
        elif self._wants_ceilings and self._ceilings is None:
            reason = "fit did not complete, and it is measured at its end"
            self._ceilings = Ceilings(not_measured={"input": reason, "step": reason})
        if self.probe is not None:
            self.probe.forget_model()
        if take_input_apart and self._waits():
            waited_s = self.recorder.step_times().measured.mean_wait_s
            self._guard("input_stages", lambda: self._blame.conclude(waited_s))
        self._blame.release()

    def _busy_s(self) -> float:
        """Mean seconds of a measured step without its wait."""
        steps = self.recorder.step_times().measured
        return sum(steps.period_s) / steps.num_steps - steps.mean_wait_s if steps.num_steps else float("inf")

    def look_at_input(self) -> None:
        """Read what the input tells of itself, which takes milliseconds."""
        if self.probe is not None:
            iterator = self.probe.pipeline()
            self._guard("input_stages", lambda: self._blame.look(iterator, self._position_in_epoch))

    @property
    def _position_in_epoch(self) -> int:
        return self.recorder.steps_seen - self._epoch_began[0]

    def _look_when_due(self) -> None:
        if self._blame.is_due(self._position_in_epoch) and self.has_time_for_a_verdict:
            self.exclude(self.look_at_input)

    def _waits(self) -> bool:
        steps = self.recorder.step_times().measured
        return sum(steps.wait_s) >= PARTLY_INPUT_BOUND_FRACTION * sum(steps.period_s) > 0

    def _guard(self, what: str, action: Callable[[], str | None]) -> None:
        """Do something of our own; what it says, or raises, is why something was not measured."""
        try:
            why = action()
        except Exception as fault:
            why = f"{type(fault).__name__}: {fault}".splitlines()[0]
        if why is not None:
            self.note_not_measured(what, why)

    @property
    def has_time_for_a_verdict(self) -> bool:
        """Whether verdicts have cost so little yet that another one is not felt: 1 %, and 0.1 s in all cases."""
        return self._verdicts_s < max(0.1, 0.01 * (self._clock() - self._origin_s))

    def exclude(self, action: Callable[[], None]) -> None:
        """Run something of our own between two steps without counting its time as the training's."""
        began_s = self._clock()
        action()
        spent_s = self._clock() - began_s
        self._verdicts_s += spent_s
        if self.probe is not None:
            self.probe.exclude(spent_s)

    def note_not_measured(self, what: str, why: str) -> None:
        """Record that something was not measured; the first reason stays."""
        self._not_measured.setdefault(what, why)

    def profile(self) -> RunProfile:
        """Return what was measured so far."""
        gpus, gpu_reason = self._gpu.snapshot()
        not_measured = dict(self._not_measured)
        if gpu_reason is not None:
            not_measured.setdefault("gpu", gpu_reason)
        probe = self.probe
        state = "interrupted" if self._state == "running" and not self.is_running else self._state
        return dataclasses.replace(
            self._facts,
            state=state,
            stopped_early=self._stopped_early,
            method=probe.method if probe is not None and "data_wait" not in not_measured else None,
            steps=self.recorder.step_times(),
            pull_overhead_s=self.recorder.pull_overhead_s if probe is not None else None,
            added_s_per_step=probe.added_s_per_step() if probe is not None else None,
            epochs=self.recorder.epoch_times(self._end_s if self._end_s is not None else self._clock()),
            callbacks=self._callback_times(),
            compile_s=self._compile_s(),
            launch_s=probe.launch_s if probe is not None else None,
            ceilings=self._ceilings,
            input_stages=self._blame.stages(),
            first_batch=self._first_batch,
            machine=self._machine or self._window.look(),
            verdicts_s=self._verdicts_s,
            validation_s=self._validation_s,
            gpus=gpus,
            not_measured=not_measured,
            remarks=(*self._remarks, *self._remarks_on_the_end()),
        )

    def _remarks_on_the_end(self) -> tuple[str, ...]:
        if self.probe is None or not self.probe.ran_out or not self._counts_one_update_too_many:
            return ()
        return (INPUT_ENDED_REMARK,)

    def _callback_times(self) -> tuple[CallbackTime, ...]:
        if self._callbacks is not None:
            return self._callbacks
        return self.probe.callbacks.times() if self.probe is not None else ()

    def _compile_s(self) -> float | None:
        if self.probe is None or not self.probe.steps:
            return None
        steps = self.recorder.step_times()
        return self.probe.compile_s + sum(period for period, one in zip(steps.period_s, steps.compiled) if one)

    def _collect_facts(self, model: Any, params: dict[str, Any], arguments: Mapping[str, Any]) -> RunProfile:
        common = {
            "workers": arguments.get("workers"),
            "use_multiprocessing": arguments.get("use_multiprocessing"),
        }
        rank, _ = process_rank()
        return RunProfile(
            kerasdiag_version=kerasdiag.__version__,
            created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            host=platform.node(),
            cores=usable_cores(),
            software=compat.software_versions(model),
            rank=rank,
            training_input=self._identify(arguments.get("x"), arguments.get("batch_size"), common),
            validation_input=self._identify(
                _inputs_only(arguments.get("validation_data")),
                arguments.get("validation_batch_size") or arguments.get("batch_size"),
                common,
            ),
            planned_epochs=params.get("epochs"),
            planned_steps_per_epoch=params.get("steps"),
            has_steps_per_epoch=(arguments["steps_per_epoch"] is not None if "steps_per_epoch" in arguments else None),
        )

    def _identify(self, data: Any, batch_size: Any, common: dict[str, Any]) -> InputIdentity | None:
        try:
            return None if data is None else identify_input(data, batch_size=batch_size, **common)
        except Exception as error:  # foreign object; its identity is worth less than the measurement
            self.note_not_measured("input_identity", f"{type(data).__name__} could not be described ({error})")
            return None

    def _look_out_for_stages(self, fit: FitCall | None, facts: RunProfile) -> StageBlame:
        identity = facts.training_input
        if fit is None or identity is None:
            return StageBlame(None, "", None)
        queue = compat.queued_batches(fit)
        return StageBlame(fit.arguments.get("x"), identity.kind, queue, facts.planned_steps_per_epoch)

    def _look_out_for_first_batch(self, model: Any, probe: StepProbe) -> None:
        """Find out what the model expects, now: JAX takes the variables out of it while it trains."""
        front = front_of(model)
        probe.on_first_batch.append(lambda batch: self._guard("first_batch", lambda: self._look_at(batch, front)))

    def _look_at(self, batch: Any, front: ModelFront) -> None:
        began_s = self._clock()
        self._first_batch = look_at(batch, front)
        for tell in self.on_first_batch:
            tell()
        self._verdicts_s += self._clock() - began_s

    def _attach(self, model: Any, fit: FitCall | None) -> None:
        """Find out how this fit's wait can be measured, and begin; or record why not."""
        if fit is None:
            self.note_not_measured("data_wait", "the profiler was not called by model.fit; only fit is measured")
            return
        access = compat.find_step_access(model, fit)
        if isinstance(access, str):
            self.note_not_measured("data_wait", access)
            return
        self._remarks += known_differences(model)
        several = compat.steps_of_execution(model)
        if several > 1:
            self._facts = dataclasses.replace(self._facts, steps_per_execution=several)
            self._remarks += [UPPER_BOUND_REMARK] if access.entry == compat.ITERATOR else []
        self._counts_one_update_too_many = compat.counts_one_update_too_many(model)
        probe = StepProbe.attached_to(fit)
        if probe is None:
            probe = StepProbe(model, fit, access, self._clock)
            probe.install()
        probe.recorders.append(self.recorder)
        if self._wants_ceilings:
            probe.keep_a_batch()
        self._guard("first_batch", lambda: self._look_out_for_first_batch(model, probe))
        if self._blame.can_look:
            probe.on_step_end.append(self._look_when_due)
        if self._blame.has_queue:
            probe.before_pull.append(self._blame.count_queue)
        probe.callbacks.on_epoch_hook.append(self.recorder.epochs.add_callback)
        probe.on_failure.append(lambda reason: self.note_not_measured("data_wait", reason))
        self.probe = probe


def _inputs_only(validation_data: Any) -> Any:
    """``validation_data=(x, y)`` names its targets, too; one input object does not."""
    if isinstance(validation_data, (tuple, list)) and 2 <= len(validation_data) <= 3:
        return validation_data[0]
    return validation_data
