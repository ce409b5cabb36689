"""What ``kerasdiag run`` does with the fits of a script: one profiler each, and an early end if that was asked for."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from kerasdiag import compat
from kerasdiag.diagnosis import Diagnosis
from kerasdiag.environment.process_rank import process_rank
from kerasdiag.fit_call import find_fit_call
from kerasdiag.profiler.attach import NO_FIT
from kerasdiag.profiler.callback import BottleneckProfiler, guarded
from kerasdiag.profiler.end_process import end_process
from kerasdiag.profiler.publisher import TERMINAL, Publisher, print_line, print_panel
from kerasdiag.profiler.stopping_rule import STABLE_STEPS, TIME_LIMIT_S, Ending, StoppingRule
from kerasdiag.report.price import price_of_waiting

# Any stands for Keras' own objects.

ENDINGS = {
    Ending.STABLE: f"the verdict has been clear and the same for {STABLE_STEPS} steps",
    Ending.TIME_OVER: f"the first step was {TIME_LIMIT_S:.0f} s ago; the verdict was not stable yet",
}
NO_VERDICT = "this fit cannot be measured, so no verdict will come"


class EveryFit:
    """Gives each fit of this process a profiler, and remembers what came of them; it holds no model."""

    def __init__(
        self,
        *,
        until_verdict: bool = False,
        output: str | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.rule = StoppingRule(clock) if until_verdict else None
        self.last: Diagnosis | None = None
        self._output = Path(output) if output else None
        self._publishers: list[Publisher] = []
        self._fits = 0
        self._named: set[str] = set()

    def choose(self, callbacks: Any) -> Any:
        """Return the callbacks of a fit that may run; what the script passed is not changed."""
        left_out = [callback for callback in _flat(callbacks) if self.rule and compat.writes_checkpoints(callback)]
        if not left_out:
            return callbacks
        chosen = [callback for callback in _flat(callbacks) if not compat.writes_checkpoints(callback)]
        names = list(dict.fromkeys(type(callback).__name__ for callback in left_out))
        if not self._named.issuperset(names):
            self._named.update(names)
            _say(f"Left out until the verdict: {', '.join(names)}. A model of a few steps is not worth keeping.")
        return chosen

    def choose_in(self, container: Any) -> None:
        """Do the same in a container that the script has made itself and passed to ``fit``."""
        chosen = self.choose(container.callbacks)
        if chosen is not container.callbacks:
            container.callbacks = chosen  # the old list is being called through

    def complete(self, container: Any, model: Any, params: dict[str, Any] | None) -> None:
        """Add a profiler to a container of callbacks; it stays silent beside one that the script has brought."""
        has_own = any(isinstance(callback, BottleneckProfiler) for callback in container.callbacks)
        profiler = FitProfiler(self, has_own=has_own)
        if params:
            profiler.set_params(params)
        if model is not None:
            profiler.set_model(model)
        # Behind all others: none of what Keras has derived from its callbacks depends on it.
        container.callbacks.append(profiler)

    def begin_fit(self, *, has_own: bool) -> Publisher | None:
        """Count a fit; return where its results go, or None where nobody needs them from us."""
        self._fits += 1
        if self.rule is not None:
            self.rule.begin_fit()
        elif has_own and self._output is None:
            return None
        targets: list[str | Path] = [] if has_own else [TERMINAL]
        if self._output is not None:
            targets.append(numbered(self._output, self._fits))
        publisher = Publisher(targets, panel_on_stderr=True)
        self._publishers.append(publisher)
        return publisher

    def conclude(self) -> None:
        """Say at the end of the script what no panel has said."""
        written = [path for publisher in self._publishers for path in publisher.written]
        if written:
            _say(f"wrote {', '.join(map(str, written))}")
        if not self._fits:
            _say(NO_FIT)
        elif self.rule is not None:
            found = f" The last one: {self.last.statement}" if self.last else ""
            _say(f"The script ended before the verdict was stable.{found}")

    def end(self, diagnosis: Diagnosis, why: str) -> NoReturn:
        """Print verdict, next line and price, and end the process."""
        try:
            with contextlib.suppress(Exception):  # stderr may be closed, or have lost its reader
                if process_rank().rank == 0:
                    print_panel(diagnosis, sys.stderr)
            _say(price_of_waiting(diagnosis))
            _say(f"Ended by --until-verdict after {diagnosis.profile.steps.num_steps} steps: {why}.")
            self.rule = None
            self.conclude()
        finally:
            end_process()


class FitProfiler(BottleneckProfiler):
    """The profiler of one fit that was started by ``kerasdiag run``."""

    _attached = True

    def __init__(self, every_fit: EveryFit, *, has_own: bool) -> None:
        """Wait for the fit.

        Args:
            every_fit: Who to tell.
            has_own: Whether the script has given this fit a profiler of its own.
        """
        super().__init__(report=None)
        self._every_fit = every_fit
        self._has_own = has_own

    @guarded
    def on_train_begin(self, logs: Any = None) -> None:
        """Begin to measure, if it is a fit: a script's own loop may drive a container, too."""
        fit = find_fit_call(self.model)
        if fit is None:
            return
        self._every_fit.choose_in(fit.callbacks)
        publisher = self._every_fit.begin_fit(has_own=self._has_own)
        if publisher is None:
            return
        self._publisher = publisher
        super().on_train_begin(logs)
        if self._every_fit.rule is not None and self._measurement is not None:
            self._watch_for_the_verdict()

    def _watch_for_the_verdict(self) -> None:
        assert self._measurement is not None  # the caller has looked
        probe = self._measurement.probe
        if probe is None:
            self._end(NO_VERDICT)
        probe.on_step_end.append(self._look_for_the_end)
        probe.on_failure.append(lambda _: self._end(NO_VERDICT))

    def _look_for_the_end(self) -> None:
        measurement, rule = self._measurement, self._every_fit.rule
        if measurement is None or rule is None:
            return
        endings: list[Ending | None] = []
        steps = measurement.recorder.measured_steps
        measurement.exclude(lambda: endings.append(rule.after_step(steps, measurement.profile)))
        if endings[0] is not None:
            self._end(ENDINGS[endings[0]])

    def _end(self, why: str) -> NoReturn:
        try:
            self._conclude("interrupted", show_panel=False, is_wanted=True)
        finally:
            self._every_fit.end(self.diagnosis, why)

    def _conclude(self, state: str, *, show_panel: bool = True, is_wanted: bool = False) -> None:
        super()._conclude(state, show_panel=show_panel, is_wanted=is_wanted)
        if self._measurement is not None:
            self._every_fit.last = self.diagnosis


def numbered(path: Path, number: int) -> Path:
    """Return the path for fit ``number``: ``run.kdprof.json``, ``run-2.kdprof.json`` ..."""
    stem, dot, extensions = path.name.partition(".")
    return path if number == 1 else path.with_name(f"{stem}-{number}{dot}{extensions}")


def _flat(callbacks: Any) -> Iterator[Any]:
    """Yield the callbacks as Keras takes them out of whatever they are nested in."""
    if isinstance(callbacks, (list, tuple)):
        for entry in callbacks:
            yield from _flat(entry)
    elif callbacks is not None:
        yield callbacks


def _say(sentence: str) -> None:
    if process_rank().rank == 0:
        print_line(sentence)
