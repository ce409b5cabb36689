"""KD308: data behind a slow USB link."""

from __future__ import annotations

from kerasdiag.doctor.check import Answer, check, found, ok, unknown
from kerasdiag.doctor.reading import (
    cost_of_reading,
    data_of,
    move_remedy,
    read_takes,
    reading_evidence,
    reading_numbers,
)
from kerasdiag.doctor.wording import size
from kerasdiag.environment.facts import Environment
from kerasdiag.findings import Evidence, Finding, Provenance

# What is left of the link's bits for data: USB 2 (480 Mb/s) gives about 40 MB/s in practice.
PAYLOAD_FRACTION = 2 / 3
USB_3_MEGABITS_PER_S = 5000  # as fast as a SATA disk; from here on the disk decides, not the link


@check("KD308", "data-behind-slow-usb", needs=("data",), uses=("reads", "throughput", "profile"))
def data_behind_slow_usb(environment: Environment) -> Answer:
    """The images lie behind a USB link that is slower than the disk.

    What it finds:
        A disk on USB whose link has negotiated less than USB 3: an old port, an old cable, or an old enclosure.

    Why it matters:
        USB 2 moves 40 MB a second at most, which are 400 images of 100 kB, however fast the disk in the enclosure.
        Even a USB 3 disk falls back to it in the wrong port or with the wrong cable.

    Example:
        The data lie on sdb behind a USB link of 480 Mb/s, which gives 40 MB/s at most.

    Fix:
        Use a USB 3 port (5000 Mb/s and more) and its cable, or copy the data to an internal disk.

    When to ignore:
        If all of the data fit into the memory that is free, only the first epoch reads from the disk.
    """
    storage = data_of(environment).storage
    speed = storage.usb_megabits_per_s
    if not storage.is_usb:
        return ok("the data do not lie on USB") if storage.device else unknown(storage.reason)
    if speed is None:
        return unknown(f"{storage.device} hangs on USB, but the system does not tell how fast the link is")
    if speed >= USB_3_MEGABITS_PER_S:
        return ok(f"{storage.device} hangs on USB at {speed:g} Mb/s")
    bytes_per_s = speed * 1e6 / 8 * PAYLOAD_FRACTION
    link = f"a USB link of {speed:g} Mb/s"
    message = (
        f"The data lie on {storage.device} behind {link}, which gives {size(bytes_per_s)}/s at most"
        f"{read_takes(environment)}."
    )
    cost = cost_of_reading(environment, (bytes_per_s, "a link"))
    evidence = (Evidence(f"/sys says that {storage.device} hangs on {link}", Provenance.DECLARED),)
    return found(
        Finding(
            "KD308", cost.severity, message, (*evidence, *reading_evidence(environment)), move_remedy(environment),
            {**reading_numbers(environment), "usb_megabits_per_s": speed}, cost.price,
        )
    )  # fmt: skip
