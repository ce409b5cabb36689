"""What input and model of a fit reach alone, once it has completed; each fault of it is a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, Union

from kerasdiag.ceilings import Ceilings, Rate
from kerasdiag.ceilings.pipeline import measure_input
from kerasdiag.compat.step_effects import UnrepeatableStepError
from kerasdiag.input_identity import InputIdentity
from kerasdiag.profiler.data_probe.probe import StepProbe

# On a GPU Keras waits for the device in its loop: that is the step's, which the ceiling has already.
LOOP_LIMIT_S = 300e-6
# A step alone has the machine to itself. Where it takes longer than in the training, other programs had a part of it. What
# is read of its losses beside it is the slack. Such loads come and go within seconds, so it may be measured anew.
TOO_LONG, SLACK_S, ATTEMPTS = 1.5, 500e-6, 3

Result = TypeVar("Result")


def measure_ceilings(
    probe: StepProbe | None, data: Any, identity: InputIdentity | None, loop_s: float, busy_s: float
) -> Ceilings:
    """Return both ceilings, or why one of them could not be measured.

    Args:
        probe: What timed the steps of the fit.
        data: What ``fit`` trained on, None where it is gone.
        identity: What it is.
        loop_s: Seconds of Keras' own loop for a step.
        busy_s: Seconds of a step in the training without its wait: one alone takes no longer. Infinite where not known.
    """
    reasons: dict[str, str] = {}

    def measure_rate() -> Rate | str:
        if data is None or identity is None:
            return "what fit trained on is not at hand"
        return measure_input(data, identity)

    def measure_step() -> tuple[float, int] | str:
        if probe is None:
            return "the steps of this fit are not measured"
        alone_s = float("inf")
        for _ in range(ATTEMPTS):
            alone = probe.measure_step()
            if isinstance(alone, str) or alone[0] <= TOO_LONG * busy_s + SLACK_S:
                return alone
            alone_s = min(alone_s, alone[0])
        return (
            f"a step alone took {alone_s * 1e3:.3g} ms, and {busy_s * 1e3:.3g} ms in the training: other programs used the "
            "machine meanwhile"
        )

    rate = _attempt("input", measure_rate, reasons)
    step = _attempt("step", measure_step, reasons)
    return Ceilings(
        input_s=1 / rate.images_per_s if rate is not None else None,
        step_s=step[0] if step is not None else None,
        loop_s=min(loop_s, LOOP_LIMIT_S),
        steps=step[1] if step is not None else 0,
        not_measured=reasons,
    )


def _attempt(what: str, measure: Callable[[], Union[Result, str]], reasons: dict[str, str]) -> Result | None:
    try:
        result = measure()
    except UnrepeatableStepError as refusal:
        result = str(refusal)
    except Exception as fault:
        result = f"{type(fault).__name__}: {fault}".splitlines()[0]
    if isinstance(result, str):
        reasons[what] = result
        return None
    return result
