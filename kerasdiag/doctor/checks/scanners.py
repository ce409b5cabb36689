"""KD309: security scanners that look into each file before the training may."""

from __future__ import annotations

from kerasdiag.demand import demand_of
from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.doctor.costs import cost_of
from kerasdiag.doctor.wording import duration
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.scanners import ScannerFacts
from kerasdiag.environment.storage_class import StorageClass
from kerasdiag.findings import Evidence, Finding, Provenance, Remedy

# Opening and closing a file whose content is in memory takes 0.01 ms on Linux and some 0.05 ms on Windows; a scanner
# that is asked about it first adds tenths of a millisecond at least.
SLOW_OPEN_S = 0.0002

_REFERENCES = ("https://github.com/microsoft/WSL/issues/1932",)


@check("KD309", "scanned-reads", needs=("scanners",), uses=("data", "profile"))
def scanned_reads(environment: Environment) -> Answer:
    """A security scanner is asked about each image before the training may open it.

    What it finds:
        Scanners that run (Microsoft Defender, CrowdStrike Falcon, ClamAV on access and others, by the names of their
        processes), and how long it takes to open files of your data whose content is in memory. Only the time
        counts: most scanners cost nothing that can be measured.

    Why it matters:
        A training opens each file in each epoch. A scanner that looks into it first adds its time to every image, and
        several workers may wait for one scanner.

    Example:
        Opening a file of the data takes 1.2 ms, and Microsoft Defender for Endpoint runs here.

    Fix:
        Ask those who run the scanner for an exclusion of the data's folder. Without one, autofix helps: it opens a
        few large files instead of one for each image.

    When to ignore:
        If the training does not wait for its data (--profile tells). Leave the scanner on in any case.
    """
    facts = environment.scanners or ScannerFacts({})
    names = " and ".join(facts.products)
    runs = f"{names} runs here"
    if not facts.is_measured:
        if names:
            return unknown(f"{runs}; what it costs is not known: {facts.not_measured}")
        if not facts.is_listed:
            return unknown(f"the processes of this machine cannot be listed, and {facts.not_measured}")
        if facts.lacks_time:
            return unknown(f"no scanner is known by its name here, but {facts.not_measured}")
        return ok("no scanner is known by its name here")
    if environment.data is not None and environment.data.storage.storage_class is StorageClass.NETWORK:
        return skipped("the data come over the network, where each open is a round trip: KD304 tells that")
    opens = f"opening a file of the data takes {duration(facts.median_open_s)}"
    if facts.median_open_s < SLOW_OPEN_S:
        return ok(f"{opens}{f', though {runs}' if names else ''}")
    demand = demand_of(environment.profile)
    count = environment.data.count if environment.data is not None else None
    cost = cost_of(facts.median_open_s, count, demand, f"{duration(facts.median_open_s)} to open each image")
    cause = runs if names else "nothing here tells why: a scanner of the host, a network or a file system may"
    message = f"{opens[0].upper()}{opens[1:]}, and {cause}."
    evidence = [
        Evidence(f"{len(facts.open_s)} opens of files whose content is in memory: {opens}", Provenance.MEASURED)
    ]
    evidence += [
        Evidence(f"the process {process} is {product}", Provenance.DECLARED)
        for product, process in facts.products.items()
    ]
    return found(
        Finding(
            code="KD309",
            severity=cost.severity,
            message=message,
            evidence=tuple(evidence),
            remedy=Remedy(
                "Ask for an exclusion of the data's folder from those who run the scanner, or open fewer files:",
                ("train_data = autofix(train_generator, profiler)",),
                safe=True,
            ),
            numbers={"open_s": facts.median_open_s, "scanners": len(facts.products)},
            price=cost.price,
            references=_REFERENCES,
        )
    )
