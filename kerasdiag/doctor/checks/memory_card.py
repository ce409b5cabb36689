"""KD310: data on an SD card."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok, unknown
from kerasdiag.doctor.reading import (
    cost_of_reading,
    data_of,
    measured_reads,
    move_remedy,
    read_takes,
    reading_evidence,
    reading_numbers,
)
from kerasdiag.doctor.wording import size
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Evidence, Finding, Provenance

# What UHS-I carries, the interface of most readers; UHS-II and later ones carry more, most cards give less.
UHS_I_BYTES_PER_S = 104e6


@check("KD310", "data-on-memory-card", needs=("data",), uses=("reads", "throughput", "profile"))
def data_on_memory_card(environment: Environment) -> Answer:
    """The images lie on an SD card.

    What it finds:
        A disk that the kernel's driver for cards calls an SD card. A card in a USB reader does not show as one; KD308
        looks at its link, and KD303 at what it gives.

    Why it matters:
        A card has no moving arm, but a slow controller: most give 10 to 100 MB a second, and a few hundred to a few
        thousand single files. An SSD gives ten times that.

    Example:
        The data lie on the SD card mmcblk0: a file that is not in memory takes 6.0 ms.

    Fix:
        Copy the data to an SSD, or let autofix write them into a few large files, which a card reads best.

    When to ignore:
        If all of the data fit into the memory that is free, only the first epoch reads from the card.
    """
    storage = data_of(environment).storage
    if not storage.is_card:
        return ok("the data do not lie on an SD card") if storage.device else unknown(storage.reason)
    link = None if measured_reads(environment) else (UHS_I_BYTES_PER_S, "UHS-I")
    cost = cost_of_reading(environment, link)
    said = f"the system calls {storage.device} an SD card"
    if link:
        said += f"; through UHS-I, the interface of most, come {size(UHS_I_BYTES_PER_S)}/s"
    evidence = (Evidence(said, Provenance.DECLARED), *reading_evidence(environment))
    message = f"The data lie on the SD card {storage.device}{read_takes(environment)}."
    return found(
        Finding(
            "KD310",
            cost.severity,
            message,
            evidence,
            move_remedy(environment),
            reading_numbers(environment),
            cost.price,
        )
    )
