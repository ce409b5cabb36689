"""Both ceilings of a training that has not run yet: a generator and a compiled model, measured apart."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from typing import Any  # generators and models are foreign objects

import numpy as np

import kerasdiag
from kerasdiag import compat
from kerasdiag.ceilings.compute import measure_step
from kerasdiag.ceilings.pipeline import measure_input
from kerasdiag.ceilings.value import CEILINGS_METHOD, Ceilings
from kerasdiag.compat.step_effects import UnrepeatableStepError
from kerasdiag.environment.cores import usable_cores
from kerasdiag.errors import EvidenceError
from kerasdiag.input_identity import InputIdentity
from kerasdiag.profile import RunProfile
from kerasdiag.user_code import reach_of_generator


def measure_apart(generator: Any, identity: InputIdentity, model: Any) -> RunProfile:
    """Measure for some seconds what a training of this model on this generator would be held up by.

    Generator, model, optimizer, random numbers and whatever the generator's own functions change are as they were
    afterwards.

    Args:
        generator: An ImageDataGenerator iterator.
        identity: What it is.
        model: A model that is built and compiled.

    Returns:
        A profile without steps, whose verdict follows from its ceilings.

    Raises:
        EvidenceError: The model is not built, not compiled, or cannot be measured.
    """
    if not getattr(model, "built", False) or not getattr(model, "optimizer", None):
        missing = "built" if not getattr(model, "built", False) else "compiled"
        raise EvidenceError(
            f"autofix was given a model as evidence that is not {missing} yet. Compile it, and build it with "
            "model.build(input_shape) or an Input layer; or pass the profiler of a fit."
        )
    access = compat.step_access(model)
    if isinstance(access, str):
        raise EvidenceError(f"autofix cannot measure this model: {access}. Pass the profiler of a fit instead.")
    rate, reach = measure_input(generator, identity), reach_of_generator(generator)
    if isinstance(rate, str) or isinstance(reach, str):
        raise EvidenceError(
            f"autofix cannot measure this generator: {rate if isinstance(rate, str) else reach}. Pass the profiler of a fit instead."
        )
    rows = np.random.default_rng(0).permutation(int(generator.n))[: int(generator.batch_size)]
    with reach.kept():
        arrays = generator._get_batches_of_transformed_samples(rows)
    with compat.own_train_function(model, access, arrays) as (train_function, batch):
        try:
            step_s, steps = measure_step(model, access, train_function, batch)
        except UnrepeatableStepError as refusal:
            raise EvidenceError(
                f"autofix cannot measure this model: {refusal}. Pass the profiler of a fit instead."
            ) from refusal
    return RunProfile(
        kerasdiag_version=kerasdiag.__version__,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        host=platform.node(),
        cores=usable_cores(),
        software=compat.software_versions(model),
        state="completed",
        training_input=identity,
        method=CEILINGS_METHOD,
        ceilings=Ceilings(input_s=1 / rate.images_per_s, step_s=step_s, steps=steps),
    )
