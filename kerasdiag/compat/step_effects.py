"""What a training step does besides changing variables: made again and again, that could not be put back."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import Any

from kerasdiag.compat.graphs import trains_as_keras_does
from kerasdiag.compat.operations import nodes_of

# Any stands for foreign objects throughout: models, functions, states and batches of whichever Keras runs.

# Operations of TensorFlow, of 2.10 to 2.21. The batch of a step is its argument, so an iterator in it is the user's own.
# Not among them: variables, also of a tf.random.Generator, which are copied; tensor lists and arrays, which live within a
# step; and Python, see compat.step_python.
_EFFECTS = {
    "prints": re.compile(r"Print(V2)?"),
    "writes summaries": re.compile(
        r"Write\w*Summary|(Create|Flush|Close)Summary\w+|ImportEvent|StatsAggregatorSummary"
    ),
    "changes a lookup table": re.compile(r"LookupTable(Import|Insert|Remove)\w*|InitializeTable\w*"),
    "draws from an iterator": re.compile(r"\w*IteratorGetNext\w*|MakeIterator|DeserializeIterator"),
    "moves a queue": re.compile(
        r"\w*(Enqueue|Dequeue)\w*|QueueClose\w*|Barrier\w+|(OrderedMap|Map)?(Stage|Unstage|Clear)\w*"
        r"|\w*Accumulator(Apply|Take|Set)\w+|(AddSparse|AddManySparse|TakeManySparse)\w+Map"
    ),
    "reads or writes files": re.compile(
        r"WriteFile|(Distributed)?Save(V2|Slices|Dataset|DatasetV2)?|MergeV2Checkpoints|\w*DatasetToTFRecord|DumpTensor"
        r"|DebugIdentity\w*|Reader(Read|Reset|Restore)\w*|RecordInput"
    ),
    "calls another process": re.compile(r"Rpc\w+|RemoteCall"),
}

# Those that keep a random state within the traced function.
_RANDOM = re.compile(
    r"\w*Random\w*|(Parameterized)?TruncatedNormal|Multinomial|\w*CandidateSampler|SampleDistortedBoundingBox(V2)?"
    r"|NonDeterministicInts|Skipgram|CudnnRNN\w*"
)


class UnrepeatableStepError(ValueError):
    """A step changes something that could not be put back; the message says what."""


def operations_in(step: Any) -> set[str]:
    """Kinds of the operations of a ``tf.function`` of one signature, and of the functions that it calls."""
    return {node.op for node in nodes_in(step)}


def nodes_in(step: Any) -> list[Any]:
    """Operations of a ``tf.function`` of one signature, and of the functions that it calls."""
    return nodes_of(step.get_concrete_function().graph)


def draws_random_numbers(operations: AbstractSet[str]) -> bool:
    """Tell whether some of these operations keep a random state of their own."""
    return any(_RANDOM.fullmatch(one) for one in operations if "Stateless" not in one)


def refuse_operations(operations: AbstractSet[str]) -> None:
    """Refuse a step of TensorFlow by the kinds of its operations.

    Raises:
        UnrepeatableStepError: One of them leaves something behind.
    """
    for what, pattern in _EFFECTS.items():
        found = next((one for one in sorted(operations) if pattern.fullmatch(one)), None)
        if found is not None:
            raise refusal(f"{what} ({found})")


def refuse_own_python(model: Any) -> None:
    """Refuse a step that runs line by line, if it is not Keras' own.

    Raises:
        UnrepeatableStepError: The model has a ``train_step`` of its own.
    """
    if not trains_as_keras_does(model):
        raise UnrepeatableStepError(
            f"{type(model).__qualname__} has a train_step of its own, which runs as Python here and may keep state that "
            "cannot be put back"
        )


def refusal(what: str) -> UnrepeatableStepError:
    """Return the error for a step that does such a thing."""
    return UnrepeatableStepError(f"the training step {what}, which cannot be put back")
