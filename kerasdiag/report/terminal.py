"""The panel: verdict, bar of the mean step, GPU, what to do next. Plain text at a fixed width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kerasdiag.diagnosis import Diagnosis, Verdict
from kerasdiag.diagnosis.gpu_share import gpus_of, mean
from kerasdiag.profile import GRAPH_METHOD, GpuSeries, RunProfile
from kerasdiag.report.console import can_encode, make_text, stream_width, wants_color

_COLORS = {
    Verdict.INPUT_BOUND: "red",
    Verdict.MIXED: "red",
    Verdict.PARTLY_INPUT_BOUND: "yellow",
    Verdict.CALLBACK_BOUND: "yellow",
    Verdict.LAUNCH_BOUND: "yellow",
    Verdict.COMPUTE_BOUND: "green",
}
_BAR_CELLS = 48
_BAR_CHARACTERS, _ASCII_CHARACTERS = ("█", "░", "▒"), ("#", ".", "+")  # wait, step, callbacks
_CALLBACKS_SHOWN_FRACTION = 0.05  # of the period; what is less is no part of its own, and counts as step


def render(diagnosis: Diagnosis, *, width: int = 80, color: bool = False, ascii_only: bool = False) -> str:
    """Return the panel as text.

    Args:
        diagnosis: What to show.
        width: Columns, at least 40.
        color: Whether to add ANSI colours.
        ascii_only: Whether the output can hold ASCII only.
    """
    shown = panel(diagnosis, ascii_only=ascii_only)
    return make_text(shown, width=width, color=color, ascii_only=ascii_only)


def panel(diagnosis: Diagnosis, *, ascii_only: bool = False) -> Panel:
    """Return what ``render`` shows, for a console of any kind."""
    style = _COLORS.get(diagnosis.verdict, "cyan")
    title = Text(f"kerasdiag: {diagnosis.verdict}", style=f"bold {style}")
    frame = box.ASCII if ascii_only else box.ROUNDED
    return Panel(Group(*_parts(diagnosis, style, ascii_only)), title=title, border_style=style, box=frame)


def render_for(stream: IO[str], diagnosis: Diagnosis, width: int | None = None) -> str:
    """Return the panel as this stream can show it: width, colours, character set."""
    return render(
        diagnosis,
        width=width or stream_width(stream),
        color=wants_color(stream),
        ascii_only=not can_encode(stream, "╭─" + "".join(_BAR_CHARACTERS)),
    )


def _parts(diagnosis: Diagnosis, style: str, ascii_only: bool) -> list[Text | Table]:
    parts: list[Text | Table] = [Text(diagnosis.statement)]
    if (
        diagnosis.mean_step_s is not None
        and diagnosis.mean_wait_s is not None
        and diagnosis.data_wait_fraction is not None
    ):
        parts += [Text(), _bar(diagnosis, style, ascii_only)]
    parts += [Text(), _facts(diagnosis)]
    remedy = diagnosis.next_step
    if remedy is not None:
        parts += [Text(), Text("Next: ", style="bold").append(remedy.text, style="not bold")]
        parts += [Text("    " + line, style="bold cyan", overflow="fold") for line in remedy.code]
    for finding in diagnosis.findings[1:]:
        note = finding.message if finding.remedy is None else f"{finding.message} {finding.remedy.text}"
        parts += [Text(), Text("Note: ", style="bold").append(note, style="not bold")]
        parts += [
            Text("    " + line, style="cyan", overflow="fold")
            for line in (finding.remedy.code if finding.remedy else ())
        ]
    return parts


def _bar(diagnosis: Diagnosis, style: str, ascii_only: bool) -> Text:
    """What the mean step is made of, as a bar and as a sum."""
    period_s, wait_s = diagnosis.mean_step_s or 0.0, diagnosis.mean_wait_s or 0.0
    callbacks = diagnosis.estimates.get("mean_callbacks_s")
    callbacks_s = callbacks.value if callbacks is not None else 0.0
    if callbacks_s < _CALLBACKS_SHOWN_FRACTION * period_s:
        callbacks_s = 0.0
    waiting = _cells(diagnosis.data_wait_fraction or 0.0)
    calling = min(_BAR_CELLS - waiting, _cells(callbacks_s / period_s)) if callbacks_s else 0
    wait, step, callback = _ASCII_CHARACTERS if ascii_only else _BAR_CHARACTERS
    bar = Text("wait ").append(wait * waiting, style=style)
    bar.append(step * (_BAR_CELLS - waiting - calling), style="dim").append(callback * calling, style=style)
    bar.append(f" step{', callbacks' if callbacks_s else ''}\n")
    bar.append(f"     {duration(wait_s)} data wait + {duration(period_s - wait_s - callbacks_s)} step")
    return bar.append(f"{f' + {duration(callbacks_s)} callbacks' if callbacks_s else ''} = {duration(period_s)}")


def _cells(fraction: float) -> int:
    return min(_BAR_CELLS, max(round(fraction * _BAR_CELLS), 1 if fraction >= 0.005 else 0))


def _facts(diagnosis: Diagnosis) -> Table:
    profile = diagnosis.profile
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (
        ("GPU", _gpu_line(diagnosis)),
        ("Steps", _steps_line(diagnosis)),
        ("Time", _time_line(diagnosis)),
        ("Input", _input_line(profile)),
        ("Alone", _ceilings_line(diagnosis)),
        ("Measured", _method_line(profile)),
        ("Sure", _confidence_line(diagnosis)),
    ):
        if value:
            table.add_row(name, value)
    return table


def _gpu_line(diagnosis: Diagnosis) -> str:
    if diagnosis.gpu_utilization_percent is None:
        return f"not measured: {diagnosis.gpu_not_measured}"
    gpus = gpus_of(diagnosis.profile)
    names = gpus[0].name if len(gpus) == 1 else f"the busiest of {len(gpus)} GPUs ({gpus[0].name} ...)"
    facts = [f"{diagnosis.gpu_utilization_percent:.0f} % utilization"]
    busy = [share for share in (mean(gpu.sm_busy_percent) for gpu in gpus) if share is not None]
    if busy:  # one kernel on one multiprocessor is full utilization
        facts.append(f"{max(busy):.0f} % of the multiprocessors busy")
    used = [max(known) for known in ([v for v in gpu.memory_used_bytes if v is not None] for gpu in gpus) if known]
    if used:
        facts.append(f"{max(used) / 2**30:.1f} GiB memory in use")
    power = [value for gpu in gpus for value in gpu.power_w if value is not None]
    if power:
        facts.append(f"{sum(power) / len(power):.0f} W")
    facts += _clock_and_bus(gpus)
    return f"{', '.join(facts)} - {names}"


def _clock_and_bus(gpus: Sequence[GpuSeries]) -> list[str]:
    clocks = [(clock, gpu.max_sm_clock_mhz) for gpu in gpus if (clock := mean(gpu.sm_clock_mhz)) is not None]
    facts = []
    if clocks:
        clock, highest = min(clocks, key=lambda known: known[0])
        facts.append(f"{clock:.0f}{f' of {highest:.0f}' if highest else ''} MHz")
    received = [rate for rate in (mean(gpu.pcie_to_gpu_bytes_per_s) for gpu in gpus) if rate is not None]
    if received:
        facts.append(f"{max(received) / 1e6:.0f} MB/s over PCIe")
    return facts


def _steps_line(diagnosis: Diagnosis) -> str:
    profile = diagnosis.profile
    if not len(profile.steps):
        return ""
    warm_up = profile.steps.num_steps - diagnosis.measured_steps
    epochs = len(set(profile.steps.epoch))
    line = f"{diagnosis.measured_steps} measured in {epochs} epoch{'s' if epochs > 1 else ''}, {warm_up} warm-up"
    if profile.unmeasured_steps:
        line += f"; {profile.unmeasured_steps:,} not measured, to save their cost"
    return line + (" (the training was interrupted)" if profile.state == "interrupted" else "")


def _time_line(diagnosis: Diagnosis) -> str:
    """Where the whole fit's time went; parts below half a percent are left out."""
    spent = diagnosis.time_spent
    if spent is None or spent.total_s <= 0:
        return ""
    parts = (
        ("waiting", spent.data_wait_s),
        ("step", spent.step_s),
        ("callbacks" + _dearest_callback(diagnosis.profile), spent.callbacks_s),
        ("checkpoints", spent.checkpoint_s),
        ("validation", spent.validation_s),
        ("between epochs", spent.between_epochs_s),
        ("compiling", spent.compile_s),
        ("verdicts", spent.verdicts_s),
    )
    shown = [f"{name} {seconds / spent.total_s:.0%}" for name, seconds in parts if seconds >= 0.005 * spent.total_s]
    return f"{duration(spent.total_s)}: {', '.join(shown)}"


def _ceilings_line(diagnosis: Diagnosis) -> str:
    """What input and model reach without each other."""
    ceilings = diagnosis.profile.ceilings
    if ceilings is None:
        return ""
    parts = []
    for name, seconds, what in (("input", ceilings.input_s, "input"), ("model", ceilings.free_step_s, "step")):
        why = ceilings.not_measured.get(what, "not measured")
        parts.append(f"the {name} {1 / seconds:,.1f} batches/s" if seconds else f"the {name} not measured: {why}")
    line = ", ".join(parts)
    if diagnosis.accelerator_utilization is not None:
        line += f"; the model computes {diagnosis.accelerator_utilization:.0%} of the time of its steps (AU)"
    return line


def _dearest_callback(profile: RunProfile) -> str:
    # What keeps the model is in the checkpoints.
    name = next((one.name for one in profile.callbacks if not one.keeps_model), None)
    return f" (most: {name})" if name else ""


def _confidence_line(diagnosis: Diagnosis) -> str:
    if diagnosis.verdict in (Verdict.UNKNOWN, Verdict.NOT_ENOUGH_DATA):
        return ""
    return f"{diagnosis.confidence.level}: {'; '.join(diagnosis.confidence.reasons)}"


def _input_line(profile: RunProfile) -> str:
    data = profile.training_input
    if data is None:
        return ""
    facts = ["tf.data: " + " > ".join(data.pipeline) if data.pipeline else data.class_name]
    if data.n is not None:
        facts.append(f"{data.n:,} examples")
    if data.batch_size is not None:
        facts.append(f"batches of {data.batch_size}")
    if data.workers is not None:
        facts.append(f"workers={data.workers}")
    return ", ".join(facts)


def _method_line(profile: RunProfile) -> str:
    if profile.method is None:
        return ""
    versions = " ".join(
        f"{name} {version}" for name, version in profile.software.items() if name not in ("python", "backend")
    )
    several = f"{profile.steps_per_execution} steps per execution, " if profile.steps_per_execution else ""
    line = f"{profile.method}, {several}{versions}"
    if profile.added_s_per_step is not None:
        line += f"; profiling cost {profile.added_s_per_step * 1e6:.0f} us per step"
        if profile.pull_overhead_s and profile.method == GRAPH_METHOD:  # else Keras itself pulls in Python
            line += f", pulling the batch in Python at most {profile.pull_overhead_s * 1e6:.0f} us"
        line += f", and {duration(profile.verdicts_s)} for the verdicts" if profile.verdicts_s >= 0.001 else ""
    return line


def duration(seconds: float) -> str:
    """Return a duration with the unit that fits it."""
    if seconds >= 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
