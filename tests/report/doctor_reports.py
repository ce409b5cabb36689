"""Reports of the doctor, made to order."""

from __future__ import annotations

from kerasdiag.findings import (
    CheckResult,
    DoctorReport,
    Evidence,
    Finding,
    Price,
    PriceUnit,
    Provenance,
    Remedy,
    Severity,
    Status,
)

DISK = Finding(
    "KD301",
    Severity.WARN,
    "The data lie on the hard disk sdb: a file that is not in memory takes 12 ms.",
    (
        Evidence("/sys/block/sdb/queue/rotational is 1", Provenance.DECLARED),
        Evidence("64 cold reads of 100 kB, one at a time: 12 ms in the median, 19 ms in 9 of 10 cases", Provenance.MEASURED),
    ),
    Remedy("Copy the data to a local SSD or NVMe disk and train from there:", ("rsync -a /data/photos /ssd/",), safe=True),
    {"cold_read_p50_s": 0.0124},
    Price(1923.2, PriceUnit.SECONDS_PER_EPOCH, "12 ms for each cold read, one at a time, 155,096 images"),
    ("https://example.org/disks",),
)  # fmt: skip
WORKERS = Finding(
    "KD702",
    Severity.ERROR,
    "1 worker prepared the batches on 8 cores, and 61.5 % of the training time was waiting for them.",
    (Evidence("the input had workers=1", Provenance.DECLARED),),
    Remedy(
        "fit of keras 3.15.1 takes no workers; the generator has the attribute:",
        ("train_generator.workers = 3",),
        safe=False,
    ),
    {"workers": 1},
    Price(61.5, PriceUnit.PERCENT, "at most, if 3 workers were 3 times as fast"),
)
CORES = Finding("KD401", Severity.INFO, "This process may use 2 of 64 cores (by its affinity).", price=Price.unknown("nobody measured it"))  # fmt: skip
FACTS = {"python": "3.12.1 on Linux x86_64", "packages": "tensorflow 2.21.0, keras 3.15.1", "cores": "2 of 64"}


def make_report(*results):
    return DoctorReport("0.1.0", "2026-11-23T10:00:00+00:00", results, FACTS)


FINE = CheckResult("KD101", "quadratic-file-list", Status.OK, "keras-preprocessing is not installed", (), 0.012)
REPORTS = {
    "healthy": make_report(FINE, CheckResult("KD401", "cores-out-of-reach", Status.OK, "all 8 cores can be used")),
    "findings": make_report(
        FINE,
        CheckResult("KD301", "data-on-hard-disk", Status.WARN, "", (DISK,), 0.9),
        CheckResult("KD302", "disk-contradicts-itself", Status.UNKNOWN, "no cold read to compare with: the kernel does not say whether a file is in memory"),
        CheckResult("KD401", "cores-out-of-reach", Status.INFO, "", (CORES,)),
        CheckResult("KD702", "unfit-workers", Status.ERROR, "", (WORKERS,)),
    ),
    "incomplete": make_report(
        CheckResult("KD301", "data-on-hard-disk", Status.CRASHED, "did not come back within 10 s; it was still at reading files of the data"),
        CheckResult("KD302", "disk-contradicts-itself", Status.CRASHED, "did not come back within 10 s; it was still at reading files of the data"),
        CheckResult("KD702", "unfit-workers", Status.SKIPPED, "no profile of a training was given (--profile FILE)"),
    ),
}  # fmt: skip
