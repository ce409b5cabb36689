"""KD702: how many workers prepare the batches."""

from __future__ import annotations

from dataclasses import replace

from kerasdiag.compat import version_matches
from kerasdiag.demand import Demand, demand_of
from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.doctor.costs import WARN_FRACTION, price_per_step, severity_by
from kerasdiag.doctor.input_line import beside_others
from kerasdiag.doctor.installed import stated
from kerasdiag.doctor.lint.answer import examine_scripts
from kerasdiag.doctor.lint.gaps import GENERATOR_READER
from kerasdiag.doctor.lint.rules.unset_workers import unset_workers
from kerasdiag.doctor.roofline import Roofline
from kerasdiag.doctor.supply import roofline_of, shown_by_profile
from kerasdiag.doctor.wording import by_count, duration, workers
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity, Status
from kerasdiag.input_identity import IMAGE_DATA_GENERATOR, PY_DATASET, InputIdentity
from kerasdiag.next_step import suggest_workers
from kerasdiag.profile import RunProfile

# Workers are threads that share the cores. A second one for each core hides reading; more take turns
# (ImageDataGenerator, two cores, images a second: 1 worker 82, 2 186, 4 166, 16 180).
WORKERS_PER_CORE = 2
_WITHOUT_WORKERS = ">=3"  # of Keras: fit() takes no `workers`

_REFERENCES = ("https://keras.io/api/utils/python_utils/#pydataset-class",)


@check("KD702", "unfit-workers", uses=("packages", "profile", "scripts", "data", "reads", "throughput"))
def unfit_workers(environment: Environment) -> Answer:
    """One worker prepares the batches on a machine with many cores, or many workers share few cores.

    What it finds:
        From a profile: an ImageDataGenerator or PyDataset (Sequence) read by one worker while the training waits,
        or by more than two workers for each core that the process may use. Without a profile a note on
        where this Keras takes `workers`; with a script, on the line that reads a generator without setting them.
        Where your images were timed (--data), that says how many workers help a generator.

    Why it matters:
        Keras 2 takes `fit(workers=...)`, which is 1 unless you say more. Keras 3 dropped it from `fit`, and what
        `flow_from_dataframe` returns never gets it: every ImageDataGenerator runs on one Python thread there,
        unless you set the attribute. Too many workers take each other's turns.

    Example:
        1 worker prepared the batches on 8 cores, and 61.5 % of the training time was waiting for them.

    Fix:
        Keras 3: `train_generator.workers = 4` before `fit`. Keras 2: `model.fit(..., workers=4)`. Or autofix, which
        needs no workers.

    When to ignore:
        With a seed and several workers ImageDataGenerator is not reproducible; autofix is.
    """
    profile = environment.profile
    if profile is None:
        return _without_profile(environment) if environment.scripts is None else _of_scripts(environment)
    data, demand = profile.training_input, demand_of(profile)
    if data is None or demand is None:
        return unknown("the profile has too few measured steps for a verdict, or no wait")
    if data.kind not in (IMAGE_DATA_GENERATOR, PY_DATASET):
        return skipped(f"the input of the profile ({data.kind}) has no workers")
    if not profile.cores:
        return unknown("the profile does not say how many cores the process had")
    now = max(1, data.workers or 1)
    suggested = suggest_workers(profile, data, 1 / max(1e-3, 1 - demand.wait_fraction))
    drawn = _roofline(environment) if data.kind == IMAGE_DATA_GENERATOR else None
    if now == 1 and suggested and demand.wait_fraction >= WARN_FRACTION:
        more = _more_do_not_help(environment, drawn)
        is_sure = shown_by_profile(environment) is None
        return more or found(_too_few(profile, data, demand, suggested, drawn, is_sure=is_sure))
    if now > WORKERS_PER_CORE * profile.cores:
        return found(_too_many(profile, demand, now, drawn))
    who = f"{workers(now)} on {profile.cores} {by_count(profile.cores, 'core', 'cores')}"
    return ok(f"{who}, {demand.wait_fraction * 100:.1f} % of the time waiting for data")


def _roofline(environment: Environment) -> Roofline | None:
    """What a generator gives here by number of workers, where that was measured and the training did not get more."""
    if environment.data is None or shown_by_profile(environment) is not None:
        return None
    return roofline_of(environment)


def _more_do_not_help(environment: Environment, drawn: Roofline | None) -> Answer | None:
    """The answer where one worker gives as much as any number, by what was measured."""
    if drawn is None or drawn.workers > 1:
        return None
    others = beside_others(environment)
    if others:
        return unknown(f"how many workers help cannot be told: {others}")
    return ok("1 worker makes as many images here as any number of them (KD314 tells what limits it)")


def _too_few(
    profile: RunProfile, data: InputIdentity, demand: Demand, wanted: int, drawn: Roofline | None, *, is_sure: bool
) -> Finding:
    # While it waits, the step is as long as its batch takes; so many threads make it that many times as fast
    # at best, for they share the interpreter.
    number, gain, said_by = wanted, float(wanted), "at most, if"
    if drawn is not None:
        number = min(wanted, drawn.workers)
        gain, said_by = drawn.by_workers[number - 1] / drawn.by_workers[0], "by what was measured here,"
    saved_s = min(demand.wait_s, demand.step_s * (1 - 1 / gain))
    waited = f"{demand.wait_fraction * 100:.1f} % of the training time was waiting for them"
    message = f"1 worker prepared the batches on {profile.cores} cores, and {waited}."
    basis = f"{said_by} {number} workers were {gain:.2g} times as fast: {duration(saved_s)} of each step"
    keras = _keras_of_profile(profile)
    if _takes_workers_in_fit(keras):
        remedy_code: tuple[str, ...] = (f"model.fit(train_generator, workers={number}, ...)",)
        text = f"{keras} takes workers in fit; the default is 1:"
    else:
        remedy_code = (f"train_generator.workers = {number}", "model.fit(train_generator, ...)")
        text = f"fit of {keras} takes no workers; the generator has the attribute:"
    if data.kind == IMAGE_DATA_GENERATOR:
        text = f"autofix needs no workers and keeps a seeded training reproducible. Short of it, {text}"
    return Finding(
        code="KD702",
        severity=severity_by(saved_s / demand.step_s, is_sure=is_sure),
        message=message,
        evidence=(*_evidence(profile, 1), Evidence(waited, Provenance.MEASURED)),
        remedy=Remedy(text, remedy_code, safe=False),
        numbers={"workers": 1, "cores": profile.cores or 0, "wait_fraction": demand.wait_fraction},
        price=price_per_step(saved_s, demand, basis),
        references=_REFERENCES,
    )


def _too_many(profile: RunProfile, demand: Demand, now: int, drawn: Roofline | None) -> Finding:
    cores = profile.cores or 1
    fewer = max(2, cores) if drawn is None else drawn.workers
    text = f"Take {fewer} and profile again; the generator or fit has the argument workers."
    waits = demand.wait_fraction >= WARN_FRACTION
    return Finding(
        code="KD702",
        severity=Severity.WARN if waits else Severity.INFO,
        message=f"{now} workers share {cores} {by_count(cores, 'core', 'cores')}, and take each other's turns.",
        evidence=_evidence(profile, now),
        remedy=Remedy(text, (), safe=False),
        numbers={"workers": now, "cores": cores, "wait_fraction": demand.wait_fraction},
        price=Price.unknown("how much faster fewer workers are, only a second profile tells"),
        references=_REFERENCES,
    )


def _of_scripts(environment: Environment) -> Answer:
    if environment.cores == 1:
        return ok("with 1 core there is nothing to share out")
    answer = examine_scripts(environment, "KD702", unset_workers, _REFERENCES, GENERATOR_READER)
    if answer.status is not Status.UNKNOWN:
        return answer
    # What holds for every script of this machine holds for one that could not be followed, too.
    general = _without_profile(environment)
    if not general.findings:
        return answer
    why = Evidence(f"whether this script sets workers is not known: {answer.statement}", Provenance.INFERRED)
    (note,) = general.findings
    return replace(general, findings=(replace(note, evidence=(*note.evidence, why)),))


def _without_profile(environment: Environment) -> Answer:
    packages = environment.packages
    keras = packages.keras if packages else None
    if packages is None or keras is None:
        return skipped("Keras is not installed here, and no profile was given (--profile FILE)")
    if environment.cores == 1:
        return ok("with 1 core there is nothing to share out")
    drawn = _roofline(environment)
    more = _more_do_not_help(environment, drawn)
    if more is not None:
        return more
    number = min(4, environment.cores) if drawn is None else drawn.workers
    name = " ".join(keras)
    if _takes_workers_in_fit(name):
        message = f"{name} reads a generator with 1 worker unless fit(workers=...) says more; this process has "
        code = f"model.fit(train_generator, workers={number}, ...)"
    else:
        message = (
            f"fit of {name} takes no workers, and an ImageDataGenerator has 1 unless you set it; this process has "
        )
        code = f"train_generator.workers = {number}"
    return found(
        Finding(
            code="KD702",
            severity=Severity.INFO,
            message=f"{message}{environment.cores} cores.",
            evidence=stated(packages, keras[0]),
            remedy=Remedy(
                "Let a profile tell whether the training waits (--profile FILE). If it does:", (code,), False
            ),
            numbers={"cores": environment.cores},
            price=Price.unknown("without a profile nobody knows whether the training waits"),
            references=_REFERENCES,
        )
    )


def _evidence(profile: RunProfile, workers: int) -> tuple[Evidence, ...]:
    said = f"the input had workers={workers}, the process {profile.cores} cores, under {_keras_of_profile(profile)}"
    return (Evidence(said, Provenance.DECLARED),)


def _keras_of_profile(profile: RunProfile) -> str:
    name = "tf_keras" if "tf_keras" in profile.software else "keras"
    return f"{name} {profile.software.get(name, '')}".strip()


def _takes_workers_in_fit(keras: str) -> bool:
    name, _, version = keras.partition(" ")
    return name in ("tf-keras", "tf_keras") or version_matches(version, _WITHOUT_WORKERS) is False
