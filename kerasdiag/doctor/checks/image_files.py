"""KD313: what the image files are, against what the training makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kerasdiag.demand import demand_of
from kerasdiag.doctor.census_words import GONE, census_in_words, decode_times, mean_pixels, names_in_words, sound
from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.doctor.costs import Cost, cost_of
from kerasdiag.doctor.image_cost import why_no_roofline
from kerasdiag.doctor.input_line import size_in_words
from kerasdiag.doctor.reading import data_of
from kerasdiag.doctor.roofline import roofline
from kerasdiag.doctor.supply import cost_of_most
from kerasdiag.doctor.wording import duration
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.throughput.facts import DECODE, RESIZE, ImageFile, ThroughputFacts
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

# Twice the target in height and width: below it a smaller file would also hold less of what zooming in shows.
WASTE_RATIO = 4.0
_CLIPPED_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")  # Pillow's conversion to RGB cuts these off at 255
_REFERENCES = (
    "https://github.com/keras-team/keras/issues/2394",
    "https://pillow.readthedocs.io/en/stable/handbook/concepts.html#modes",
)


@check("KD313", "unfit-image-files", needs=("data", "throughput"), uses=("reads", "profile"))
def unfit_image_files(environment: Environment) -> Answer:
    """Images that cannot be loaded, come out wrong, or have many more pixels than the training sees.

    What it finds:
        In a sample of your files: empty, truncated and foreign ones, 16-bit grayscale, CMYK, photos that EXIF says are
        turned, and how many pixels each has against the target size. Headers are read of all of the sample, and
        a part of it is decoded whole.

    Why it matters:
        ImageDataGenerator decodes the whole of each photo in each epoch, and then throws most of the pixels away. A
        file that it cannot load ends the training in the middle of an epoch. 16-bit grayscale becomes white in RGB, and
        what EXIF says of the camera's position is not looked at.

    Example:
        The images have 47 times the pixels of 256x256: decoding and resizing them takes 150 ms for each, most of it
        for pixels that nobody sees.

    Fix:
        autofix writes the images once in the target size, and leaves out what cannot be loaded where
        bad_images="skip" says so. Or make the files smaller, and mend or remove the bad ones.

    When to ignore:
        The sample is 128 files at most: one bad file in a million is not found by it. With
        color_mode="grayscale" Keras keeps 16 bits. Truncated files load where the script sets LOAD_TRUNCATED_IMAGES.
    """
    facts, data = environment.throughput, data_of(environment)
    if facts is None or not facts.census:
        why = why_no_roofline(environment)
        return skipped(why) if "no image files" in why else unknown(why)
    said = census_in_words(facts.census, data, facts.work)
    evidence = (Evidence(said, Provenance.MEASURED),)
    findings = (
        *_that_end_a_training(facts.census, evidence),
        *_that_are_cut_off(facts.census, evidence),
        *_that_are_too_large(environment, facts, evidence),
        *_notes(facts.census, evidence),
    )
    return found(*findings) if findings else ok(said)


def _that_end_a_training(census: Sequence[ImageFile], evidence: tuple[Evidence, ...]) -> list[Finding]:
    bad = [file for file in census if file.problem and file.problem != GONE]
    if not bad:
        return []
    loads = f"{len(bad)} of {len(census)} files tried cannot be loaded: {names_in_words(bad)}."
    return [
        Finding(
            "KD313", Severity.ERROR, f"{loads} Keras ends the training at the first of them.",
            (*evidence, Evidence(f"{bad[0].path}: {bad[0].problem}", Provenance.MEASURED)),
            Remedy(
                "Mend or remove them, or let autofix leave them out:",
                ('train_data = autofix(train_generator, profiler, bad_images="skip")',),
                safe=False,
            ),
            {"bad_files": len(bad), "looked_at": len(census)},
            Price.unknown("a training that ends has no speed"),
        )
    ]  # fmt: skip


def _that_are_cut_off(census: Sequence[ImageFile], evidence: tuple[Evidence, ...]) -> list[Finding]:
    wide = [file for file in sound(census) if file.mode in _CLIPPED_MODES]
    if not wide:
        return []
    message = (
        f"{len(wide)} of {len(census)} images are grayscale of more than 8 bits ({names_in_words(wide)}): as RGB, Keras' "
        "default, all that is above 255 becomes white."
    )
    text = 'Load them as grayscale (color_mode="grayscale" keeps their values), or scale them to 8 bits once.'
    numbers = {"wide_files": len(wide), "looked_at": len(census)}
    none = Price.unknown("it costs what the training learns, not its time")
    return [
        Finding("KD313", Severity.WARN, message, evidence, Remedy(text, (), safe=False), numbers, none, _REFERENCES)
    ]


def _that_are_too_large(
    environment: Environment, facts: ThroughputFacts, evidence: tuple[Evidence, ...]
) -> list[Finding]:
    target = facts.work.target_size[0] * facts.work.target_size[1]
    ratio = mean_pixels(facts.census) / target
    if ratio < WASTE_RATIO:
        return []
    cost = _cost_of_waste(environment, ratio)
    spent_s = sum(stage.seconds for stage in facts.stages if stage.name in (DECODE, RESIZE))
    takes = f" takes {duration(spent_s)} for each, most of it" if facts.stages else " is mostly"
    times = decode_times(facts.census)
    seen = f"{size_in_words(facts.work)} pixels are what is made of them ({facts.work.size_said_by})"
    return [
        Finding(
            "KD313", cost.severity,
            f"The images have {ratio:.2g} times the pixels of {size_in_words(facts.work)}: decoding and resizing them"
            f"{takes} for pixels that nobody sees.",
            (
                *evidence,
                Evidence(seen, Provenance.DECLARED),
                *((Evidence(f"decoding, in the median: {times}", Provenance.MEASURED),) if times else ()),
            ),
            Remedy(
                "autofix writes them once in the target size, and never decodes them again:",
                ("train_data = autofix(train_generator, profiler)",),
                safe=True,
            ),
            {"pixel_ratio": ratio, "decode_and_resize_s": spent_s},
            cost.price,
            _REFERENCES,
        )
    ]  # fmt: skip


def _cost_of_waste(environment: Environment, ratio: float) -> Cost:
    """Draw the roofline a second time, with files that are no larger than the target."""
    now = cost_of_most(environment)
    if now is None:
        why = why_no_roofline(environment)
        return Cost(Price.unknown(f"how long it takes was not measured: {why}"), Severity.INFO)
    shrunk = {name: 1 / ratio if name in (DECODE, RESIZE) else 1.0 for name in now.stages}
    smaller = replace(
        now,
        stages={name: seconds * shrunk[name] for name, seconds in now.stages.items()},
        held={name: seconds * shrunk[name] for name, seconds in now.held.items()},
    )
    with_less_s = 1 / roofline(smaller, environment.cores).images_per_s
    drawn = roofline(now, environment.cores)
    image_s = max(0.0, 1 / drawn.images_per_s - with_less_s)
    basis = f"{duration(image_s)} for each image with {drawn.workers} workers, as decoding goes by pixels"
    return cost_of(image_s, data_of(environment).count, demand_of(environment.profile), basis, with_less_s)


def _notes(census: Sequence[ImageFile], evidence: tuple[Evidence, ...]) -> list[Finding]:
    files = sound(census)
    notes = []
    kinds = (
        ("cmyk_files", [file for file in files if file.mode == "CMYK"], "are CMYK, and become RGB without their profile"),
        ("turned_files", [file for file in files if file.is_rotated], "lie on a side: EXIF turns them, and Keras does not"),
    )  # fmt: skip
    for name, some, what in kinds:
        if some:
            message = f"{len(some)} of {len(census)} images {what} ({names_in_words(some)})."
            numbers = {name: len(some), "looked_at": len(census)}
            remedy = Remedy("Where the training should see them as people do, convert them once.", (), safe=False)
            notes.append(Finding("KD313", Severity.INFO, message, evidence, remedy, numbers))
    return notes
