"""What the first batch of a training shows of its images, its labels and its validation: mistakes that raise no error.

A finding stands for what is certain, or nearly; a batch that can be read in two ways gives none.
"""

from __future__ import annotations

from kerasdiag.diagnosis.first_batch.augmented_validation import augmented_validation
from kerasdiag.diagnosis.first_batch.images import broken_images, wrong_range
from kerasdiag.diagnosis.first_batch.labels import wrong_labels
from kerasdiag.findings import Finding
from kerasdiag.profile import RunProfile


def first_batch_findings(profile: RunProfile) -> tuple[Finding, ...]:
    """Return what is wrong with the data of a run."""
    found = (find(profile) for find in (broken_images, wrong_range, wrong_labels, augmented_validation))
    return tuple(one for one in found if one is not None)
