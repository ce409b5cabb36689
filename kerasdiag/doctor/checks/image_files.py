"""KD313: what the image files are, against what the training makes of them."""

from __future__ import annotations

from collections.abc import Sequence

from kerasdiag.doctor.census_words import (
    GONE,
    census_in_words,
    names_of,
    problems_in_words,
    sound,
)
from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.doctor.image_cost import why_no_roofline
from kerasdiag.doctor.pixel_waste import wasted_pixels
from kerasdiag.doctor.reading import data_of
from kerasdiag.doctor.wording import by_count
from kerasdiag.doctor.wording import files as files_in_words
from kerasdiag.environment.data_files import DataFacts
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.throughput.facts import ImageFile
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

_CLIPPED_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")  # Pillow's conversion to RGB cuts these off at 255
_REFERENCES = (
    "https://github.com/keras-team/keras/issues/2394",
    "https://pillow.readthedocs.io/en/stable/handbook/concepts.html#modes",
)


@check("KD313", "unfit-image-files", needs=("data",), uses=("throughput", "reads", "profile"))
def unfit_image_files(environment: Environment) -> Answer:
    """Images that are missing or broken, come out wrong, or have many more pixels than the training sees.

    What it finds:
        In a sample of your files: names that lead to no file, empty, truncated and foreign ones, 16-bit grayscale, CMYK,
        photos that EXIF says are turned, and how many pixels each has against the target size. Headers are read of
        all of the sample, and a part of it is decoded whole.

    Why it matters:
        ImageDataGenerator decodes the whole of each photo in each epoch, and then throws most of the pixels away. A
        file that it cannot load ends the training in the middle of an epoch, and so does a link that leads nowhere;
        rows of a list whose file is missing are left out, and all that says so is a warning. 16-bit grayscale becomes
        white in RGB, and what EXIF says of the camera's position is not looked at.

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
    missing = _that_are_missing(data)
    if facts is None or not facts.census:
        why = why_no_roofline(environment)
        if missing:
            return found(*missing)
        return skipped(why) if facts is None or "no image files" in why else unknown(why)
    said = census_in_words(facts.census, data, facts.work)
    evidence = (Evidence(said, Provenance.MEASURED),)
    findings = (
        *missing,
        *_that_end_a_training(facts.census, evidence),
        *_that_are_cut_off(facts.census, evidence),
        *wasted_pixels(environment, facts, evidence),
        *_notes(facts.census, evidence),
    )
    return found(*findings) if findings else ok(said)


def _that_are_missing(data: DataFacts) -> list[Finding]:
    if not data.missing:
        return []
    tried = data.missing + len(data.sample)
    counted = f"{data.missing} of {tried} files tried {by_count(data.missing, 'does', 'do')} not exist"
    severity, message = Severity.ERROR, f"{counted}: links that lead nowhere. Keras ends the training at the first."
    text, price = "Remove these links, or bring back what they lead to.", "a training that ends has no speed"
    if data.is_list:
        severity, message = Severity.WARN, f"{counted}. flow_from_dataframe leaves their rows out, with a warning only."
        text = "Mend the names in the list, or name the folder that they are relative to (--directory)."
        price = "it costs what the training learns, not its time"
    return [
        Finding(
            "KD313",
            severity,
            message,
            (
                Evidence(files_in_words(data), Provenance.MEASURED),
                Evidence(f"no such file: {data.missing_name}", Provenance.MEASURED, is_private=True),
            ),
            Remedy(text, (), safe=False),
            {"missing_files": data.missing, "looked_at": tried},
            Price.unknown(price),
        )
    ]


def _that_end_a_training(census: Sequence[ImageFile], evidence: tuple[Evidence, ...]) -> list[Finding]:
    bad = [file for file in census if file.problem and file.problem != GONE]
    if not bad:
        return []
    loads = f"{len(bad)} of {len(census)} files tried cannot be loaded: {problems_in_words(bad)}."
    return [
        Finding(
            "KD313", Severity.ERROR, f"{loads} Keras ends the training at the first of them.",
            (*evidence, *names_of(bad)),
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
        f"{len(wide)} of {len(census)} images {by_count(len(wide), 'is', 'are')} grayscale of more than 8 bits: as RGB, "
        "Keras' default, all that is above 255 becomes white."
    )
    text = 'Load them as grayscale (color_mode="grayscale" keeps their values), or scale them to 8 bits once.'
    numbers = {"wide_files": len(wide), "looked_at": len(census)}
    none = Price.unknown("it costs what the training learns, not its time")
    return [
        Finding(
            "KD313",
            Severity.WARN,
            message,
            (*evidence, *names_of(wide)),
            Remedy(text, (), safe=False),
            numbers,
            none,
            _REFERENCES,
        )
    ]


def _notes(census: Sequence[ImageFile], evidence: tuple[Evidence, ...]) -> list[Finding]:
    files = sound(census)
    notes = []
    kinds = (
        (
            "cmyk_files", [file for file in files if file.mode == "CMYK"],
            "is CMYK, and becomes RGB without its profile", "are CMYK, and become RGB without their profile",
        ),
        (
            "turned_files", [file for file in files if file.is_rotated],
            "lies on a side: EXIF turns it, and Keras does not", "lie on a side: EXIF turns them, and Keras does not",
        ),
    )  # fmt: skip
    for name, some, is_so, are_so in kinds:
        if some:
            message = f"{len(some)} of {len(census)} images {by_count(len(some), is_so, are_so)}."
            numbers = {name: len(some), "looked_at": len(census)}
            remedy = Remedy("Where the training should see them as people do, convert them once.", (), safe=False)
            notes.append(Finding("KD313", Severity.INFO, message, (*evidence, *names_of(some)), remedy, numbers))
    return notes
