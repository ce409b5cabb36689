"""KD303, KD313, KD314 and the head of the report: firing and silent, on both sides of each threshold."""

from __future__ import annotations

import pytest
from builders import (
    make_census,
    make_data,
    make_environment,
    make_input,
    make_packages,
    make_profile,
    make_reads,
    make_storage,
    make_throughput,
)
from doctor.test_checks import look, only

from kerasdiag.doctor.checks.image_files import unfit_image_files
from kerasdiag.doctor.checks.preparation import slow_image_preparation
from kerasdiag.doctor.checks.small_files import slow_cold_reads
from kerasdiag.doctor.checks.workers import unfit_workers
from kerasdiag.doctor.input_line import input_in_words
from kerasdiag.environment.storage import StorageClass
from kerasdiag.environment.throughput.facts import ImageFile, ImageWork, ThreadRate
from kerasdiag.findings import Severity, Status

OK, INFO, WARN, ERROR, SKIPPED, NOT_TOLD, CRASHED = Status


def facts(cores=8, latency_s=0.0002, **changes):
    """A machine of so many cores that makes 103 images a second on each."""
    of_throughput = {
        name: changes.pop(name) for name in list(changes) if name in ("stages_s", "held", "reads_", "census", "work")
    }
    if "reads_" in of_throughput:
        of_throughput["reads"] = of_throughput.pop("reads_")
    known = {
        "data": make_data(),
        "reads": make_reads(latency_s),
        "throughput": make_throughput(cores=cores, **of_throughput),
    }
    return {"cores": cores, **known, **changes}


def training(wanted, wait_s=0.05, workers=4, **changes):
    """A training that takes so many images a second in the time it does not wait."""
    data = make_input(workers=workers, **changes.pop("input", {}))
    return make_profile(wait_s, 32 / wanted, training_input=data, planned_steps_per_epoch=625, **changes)


# --- KD314


@pytest.mark.parametrize(
    ("wanted", "status"),
    [(824, OK), (826, INFO), (935, INFO), (945, WARN), (5400, WARN), (5500, ERROR)],  # 8 cores make 825
)
def test_preparation_against_the_demand(wanted, status):
    """By the share of the training that is lost even with the best number of workers: 5 and 50 %."""
    answer = look(slow_image_preparation, **facts(profile=training(wanted, wait_s=0.06)))
    assert answer.status is status


def test_the_price_of_slow_preparation():
    """What a batch takes at best, less what the step hides; at most what it waited."""
    finding = only(look(slow_image_preparation, **facts(profile=training(1600, wait_s=0.10))))
    assert finding.price.value == pytest.approx(625 * (32 * 0.0097 / 8 - 0.02), rel=0.01)
    assert finding.numbers["images_per_s"] == pytest.approx(825, abs=1)
    assert (finding.numbers["workers"], finding.numbers["augmentation_s"]) == (8, 0.0075)
    little = only(look(slow_image_preparation, **facts(profile=training(1600, wait_s=0.002))))
    assert little.price.value == pytest.approx(625 * 0.002)
    assert little.remedy.code == ("train_data = autofix(train_generator, profiler)",)


def test_the_lock_is_named():
    """A Python function of the user's own holds it; more cores would bring nothing."""
    held = facts(held=(0, 0, 0, 1, 0), profile=training(640))
    finding = only(look(slow_image_preparation, **held))
    assert "limited by the interpreter's lock" in finding.message
    assert "one at a time holds the interpreter's lock" in finding.remedy.text


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, OK, "at most 825 images/s with 8 workers; limited by augmentation; more workers do not help; whether a"),
        ({"profile": make_profile(0.4, 0.1, 12)}, OK, "--profile tells"),  # too short for a verdict
        ({"profile": make_profile(0.1, 0.01, training_input=make_input("tf-data", batch_size=32))}, SKIPPED, "no ImageDataGenerator"),
        ({"throughput": make_throughput(stages_s=(0.1,), stages=(), not_measured="Pillow is not there")}, NOT_TOLD, "Pillow"),
        ({"throughput": None, "absent": {"throughput": "--no-io"}}, NOT_TOLD, "--no-io"),
        ({"latency_s": 0.02, "reads_": ((2, 90), (4, 100)), "profile": training(640)}, SKIPPED, "KD303"),
    ],
)  # fmt: skip
def test_preparation_without_a_finding(changes, status, words):
    """Without a demand the roofline is stated; another input, or another limit, is none of it."""
    answer = look(slow_image_preparation, **facts(**changes))
    assert (answer.status, words in answer.statement) == (status, True), answer.statement


# --- KD303


@pytest.mark.parametrize(("wanted", "status"), [(299, OK), (299.9, OK), (300.1, INFO), (640, WARN), (3200, ERROR)])
def test_cold_reads_against_the_demand(wanted, status):
    """300 files a second, by however many threads."""
    profile = training(wanted, wait_s=0.1 if wanted > 600 else 0.01)
    answer = look(slow_cold_reads, **facts(latency_s=0.005, reads_=((2, 280), (4, 300)), profile=profile))
    assert answer.status is status
    if answer.findings:
        assert only(answer).numbers["files_per_s"] == 300


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, OK, "augmentation limits the input, not the disk"),
        ({"latency_s": 0.0049, "reads_": ((2, 250), (4, 300))}, WARN, "this machine could prepare 825 images/s"),
        ({"latency_s": 0.0049, "reads_": ((2, 250), (4, 300)), "available_bytes": 10**10}, INFO, "300 files/s"),
        ({"latency_s": 0.0124}, SKIPPED, "KD301 says"),
        (
            {"latency_s": 0.004, "data": make_data(make_storage(StorageClass.NETWORK))},
            SKIPPED,
            "KD304, KD305 or KD306 says",
        ),
        (
            {"reads": make_reads(is_cold=False, not_cold="64 of 64 files stayed in memory")},
            NOT_TOLD,
            "stayed in memory",
        ),
        ({"throughput": None, "absent": {"throughput": "no time"}}, NOT_TOLD, "was not measured: no time"),
    ],
)
def test_cold_reads_without_a_demand(changes, status, words):
    """Held against what else the images take; disks that KD301 and KD304 price are left to them."""
    answer = look(slow_cold_reads, **facts(**changes))
    assert (answer.status, words in (answer.statement or only(answer).message)) == (status, True), answer


# --- KD313


def census(*files, sound=100):
    return (*make_census(sound), *files)


def odd(name="odd.jpg", **facts):
    return ImageFile(
        f"/data/photos/{name}", **{"num_bytes": 9, "format": "JPEG", "mode": "RGB", "width": 9, "height": 9, **facts}
    )


def test_sound_images():
    """Numbers of what was looked at, and nothing to do."""
    answer = look(unfit_image_files, **facts())
    assert answer.status is OK
    assert answer.statement == (
        "128 of 20,000 files looked at, 64 decoded whole: JPEG 100 %; 500x375 in the median, 2.9 times the pixels of the "
        "target on average; 100 kB each, in one folder"
    )


@pytest.mark.parametrize(
    ("file", "severity", "words"),
    [
        (odd(problem="empty", format=""), "error", "1 of 101 files tried cannot be loaded: empty."),
        (
            odd(problem="OSError: image file is truncated"),
            "error",
            "cannot be loaded: OSError: image file is truncated.",
        ),
        (odd(mode="I;16", bits=16), "warn", "1 of 101 images is grayscale of more than 8 bits: as RGB"),
        (odd(mode="CMYK"), "info", "1 of 101 images is CMYK, and becomes RGB"),
        (odd(is_rotated=True), "info", "1 of 101 images lies on a side: EXIF turns it"),
    ],
)
def test_odd_files(file, severity, words):
    """Each kind is named, with how many of how many; what ends a training is an error."""
    finding = only(look(unfit_image_files, **facts(census=census(file))))
    assert str(finding.severity) == severity
    assert words in finding.message
    assert not any("odd.jpg" in text for text in (finding.message, finding.remedy.text))
    private = [fact.text for fact in finding.evidence if fact.is_private]
    assert private == ["/data/photos/odd.jpg" + (f": {file.problem}" if file.problem else "")]


def test_many_bad_files():
    """What is wrong is counted, and a reader gets some of the names."""
    bad = [odd(f"{number}.jpg", problem="empty" if number else "truncated") for number in range(9)]
    finding = only(look(unfit_image_files, **facts(census=census(*bad))))
    assert "9 of 109 files tried cannot be loaded: empty (8), truncated (1)." in finding.message
    assert finding.evidence[-1].text == "/data/photos/4.jpg: empty; and 4 more"
    bad = [odd(f"{number}.jpg", problem=f"{number} bytes missing") for number in range(9)]
    assert "2 bytes missing (1), and more." in only(look(unfit_image_files, **facts(census=census(*bad)))).message


@pytest.mark.parametrize(
    ("is_list", "severity", "words"),
    [(False, "error", "links that lead nowhere. Keras ends the training"), (True, "warn", "leaves their rows out")],
)
def test_files_that_do_not_exist(is_list, severity, words):
    """Keras stops at a link in a folder, and leaves rows of a list out; with or without a look into the others."""
    data = make_data(missing=3, missing_name="/data/photos/ward7.jpg", is_list=is_list)
    for throughput in (make_throughput(census=make_census()), None):
        finding = only(look(unfit_image_files, data=data, throughput=throughput))
        assert str(finding.severity) == severity
        assert f"3 of {3 + len(data.sample)} files tried do not exist" in finding.message
        assert words in finding.message
        assert [fact.text for fact in finding.evidence if fact.is_private] == ["no such file: /data/photos/ward7.jpg"]


@pytest.mark.parametrize(
    "file",
    [odd(problem="No such file or directory", format=""), odd(mode="RGB", bits=16), odd(mode="L"), odd(format="PNG")],
)
def test_files_that_are_fine(file):
    """A file that somebody took away meanwhile, 16 bits of colour (cut to 8), grayscale, other formats."""
    assert look(unfit_image_files, **facts(census=census(file))).status is OK


@pytest.mark.parametrize(
    ("size", "decode_s", "status"),
    [
        ((511, 512), 0.0075, OK),  # less than four times the pixels
        ((513, 512), 0.0075, WARN),
        ((513, 512), 0.0004, INFO),  # it costs less than 5 %
        ((4000, 3000), 0.150, WARN),
    ],
)
def test_images_that_are_too_large(size, decode_s, status):
    """From twice the width and height on, by what the pixels that nobody sees cost."""
    stages_s = (0.0001, decode_s, 0.0, 0.0075, 0.0005)
    answer = look(unfit_image_files, **facts(stages_s=stages_s, census=make_census(size=size)))
    assert answer.status is status


def test_the_price_of_large_images():
    """The roofline a second time with small files: 8 cores decode 8 at a time."""
    stages_s = (0.0, 0.150, 0.010, 0.008, 0.0)
    large = facts(stages_s=stages_s, census=make_census(size=(2560, 2560)))
    finding = only(look(unfit_image_files, **large))
    assert finding.numbers == {"pixel_ratio": pytest.approx(100), "decode_and_resize_s": pytest.approx(0.160)}
    assert finding.price.value == pytest.approx(20_000 * 0.160 * 0.99 / 8)
    hidden = only(look(unfit_image_files, **large, profile=training(100, wait_s=0.001)))
    assert (str(hidden.severity), hidden.price.value) == ("info", pytest.approx(625 * 0.001))


def test_large_images_that_were_not_timed():
    """Without SciPy their size is known, and no price."""
    large = make_throughput(stages=(), rates=(), census=make_census(size=(4000, 3000)), not_measured="SciPy is missing")
    finding = only(look(unfit_image_files, **facts(throughput=large)))
    assert (finding.severity, finding.price.value) == (Severity.INFO, None)
    assert "SciPy is missing" in finding.price.basis


@pytest.mark.parametrize(
    ("why", "status"), [("there are no image files among the data", SKIPPED), ("Pillow is missing", NOT_TOLD)]
)
def test_no_census(why, status):
    """Records are no images; what could not be looked at is not fine."""
    nothing = make_throughput(stages=(), rates=(), census=(), not_measured=why)
    assert look(unfit_image_files, **facts(throughput=nothing)).status is status


# --- the head


def head(**changes):
    return input_in_words(make_environment(**facts(**changes)))


def test_the_head_tells_the_roofline():
    """Images a second, workers, the stage that limits it."""
    assert head(cores=2) == {
        "input": "at most 206 images/s with 2 workers; limited by augmentation; more workers do not help"
    }
    assert head(cores=1)["input"].startswith("at most 103 images/s with 1 worker; ")


def test_the_head_tells_what_was_assumed():
    """With the option that says otherwise."""
    work = ImageWork((256, 256), ("affine", "flip"), "Keras' default; --target-size names another",
                     "assumed; --augmentation none leaves it out", ("preprocessing_function",))  # fmt: skip
    assert head(work=work)["assumed"] == (
        "256x256 pixels (Keras' default; --target-size names another), rotation, shear, zoom and flip (--augmentation none "
        "leaves it out), preprocessing_function of the generator take no time"
    )


def test_the_head_tells_of_a_slower_first_epoch():
    """Data that fit into memory come from the disk once."""
    slow = {"latency_s": 0.02, "reads_": ((2, 90), (4, 100))}
    assert "(in the first epoch, from the disk: 100 images/s)" in head(**slow, available_bytes=10**10)["input"]
    assert head(**slow)["input"].startswith("at most 100 images/s with 3 workers; limited by reading")
    assert "first epoch" not in head(available_bytes=10**10)["input"]


def test_the_head_tells_why_nothing_was_measured():
    """And it is silent where nobody asked."""
    nothing = make_throughput(stages=(), rates=(), not_measured="Pillow cannot be imported here: pip install pillow")
    assert head(throughput=nothing) == {"input": "not measured: Pillow cannot be imported here: pip install pillow"}
    assert head(throughput=None) == {}


@pytest.mark.parametrize(
    ("share", "held", "words"), [(0.82, 0.0, ""), (0.5, 0.0, "others used about 1.0 of 2 cores"), (0.5, 1.0, "")]
)
def test_the_head_tells_of_others_on_the_machine(share, held, words):
    """Threads that did not get the cores; those that wait for the lock tell nothing of others."""
    rates = (ThreadRate(1, 100, 0.0097), ThreadRate(2, 206 * share, 0.0097), ThreadRate(4, 200 * share, 0.0097))
    told = head(cores=2, throughput=make_throughput(cores=2, held=held, rates=rates))
    assert words in told.get("busy", "")
    assert ("busy" in told) is bool(words)


# --- KD702 beside KD314

BUSY = (
    ThreadRate(1, 100, 0.0097),
    ThreadRate(2, 103, 0.0097),
    ThreadRate(4, 100, 0.0097),
)  # others have one of 2 cores


@pytest.mark.parametrize(
    ("cores", "changes", "status", "words"),
    [
        (2, {}, ERROR, "train_generator.workers = 2"),
        (8, {"held": 0.5}, WARN, "train_generator.workers = 4"),  # the lock lets so many at it
        (8, {"held": 1.0}, OK, "1 worker makes as many images here as any number of them"),
        (2, {"rates": BUSY}, NOT_TOLD, "others used about 1.0 of 2 cores"),
    ],
)
def test_workers_by_what_was_measured(cores, changes, status, words):
    """One report does not say in two places how many workers help, and mean two numbers."""
    throughput = make_throughput(cores=cores, **changes)
    profile = make_profile(0.5, 0.05, training_input=make_input(workers=1), cores=cores)
    known = facts(cores, throughput=throughput, profile=profile)
    answer = look(unfit_workers, **known)
    assert answer.status is status
    if answer.findings:
        assert only(answer).remedy.code[0] == words
        with_ = int(words.rpartition(" ")[2])
        assert f"with {with_} workers" in head(cores=cores, throughput=throughput)["input"]
        assert f"by what was measured here, {with_} workers were" in only(answer).price.basis
    else:
        assert words in answer.statement
    # A note without a profile keeps to it as well.
    note = look(unfit_workers, **{**known, "profile": None, "packages": make_packages(keras="3.15.1")})
    assert words in (only(note).remedy.code[0] if note.findings else note.statement)


def test_too_many_workers_by_what_was_measured():
    """The number to take is that of the head."""
    profile = make_profile(0.5, 0.05, training_input=make_input(workers=40), cores=8)
    known = facts(8, throughput=make_throughput(cores=8, held=0.5), profile=profile)
    assert only(look(unfit_workers, **known)).remedy.text.startswith("Take 4 and profile again")


def test_others_are_named_where_more_workers_do_not_help():
    """It is not the training's own work that fills the cores."""
    known = facts(2, throughput=make_throughput(cores=2, rates=BUSY), profile=training(1600))
    text = only(look(slow_image_preparation, **known)).remedy.text
    assert text.startswith(
        "More than 1 worker does not help, for all cores have work; others used about 1.0 of 2 cores"
    )


def test_numbers_of_large_factors():
    """530 times, not 5.3e+02 times; 1 worker, not 1 workers."""
    known = facts(1, throughput=make_throughput(cores=1, census=make_census(size=(5900, 5900))))
    finding = only(look(unfit_image_files, **known))
    assert "The images have 530 times the pixels of 256x256" in finding.message
    assert "with 1 worker," in finding.price.basis
    assert not [fact.text for fact in finding.evidence if "e+" in fact.text]
