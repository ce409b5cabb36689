"""Every difference between Keras and TensorFlow versions, one function each, named by behaviour.

No other room asks for a version. Nothing here imports Keras or TensorFlow: whoever trains has
loaded them already, and they are taken from ``sys.modules``.
"""

from kerasdiag.compat.batches import is_end_of_input, queued_batches, ready_input, work_in_flight
from kerasdiag.compat.cached_step import cached_step, own_train_function
from kerasdiag.compat.datasets import operation_name, operations_of, why_not_iterate
from kerasdiag.compat.graphs import input_layers, is_graph, is_sequential, loss_name, next_layers, trains_as_keras_does
from kerasdiag.compat.inputs import (
    adds_prefetch,
    computes_on_accelerator,
    empties_every_second_epoch,
    generator_floatx,
    generator_loader,
    use_workers,
)
from kerasdiag.compat.models import (
    CALLBACK_LIST_MODULES,
    CHECKPOINT_CALLBACKS,
    backend_name,
    compiles_with_xla,
    counts_one_update_too_many,
    hide_from_tracebacks,
    is_distributed,
    is_keras_2,
    keras_package,
    software_versions,
    version_matches,
    was_traced_before,
    writes_checkpoints,
)
from kerasdiag.compat.step_access import (
    CALLABLE,
    GAP,
    ITERATOR,
    PYTHON_FUNCTION,
    STEP_ACCESS,
    StepAccess,
    ends_in_partial_execution,
    find_step_access,
    may_sample,
    step_access,
    steps_of_execution,
)
from kerasdiag.compat.step_functions import (
    eager_step_function,
    graph_attribute,
    is_keras_own_function,
    one_step_function,
    single_step_function,
    step_marker,
)

__all__ = [
    "CALLABLE",
    "CALLBACK_LIST_MODULES",
    "CHECKPOINT_CALLBACKS",
    "GAP",
    "ITERATOR",
    "PYTHON_FUNCTION",
    "STEP_ACCESS",
    "StepAccess",
    "adds_prefetch",
    "backend_name",
    "cached_step",
    "compiles_with_xla",
    "computes_on_accelerator",
    "counts_one_update_too_many",
    "eager_step_function",
    "empties_every_second_epoch",
    "ends_in_partial_execution",
    "find_step_access",
    "generator_floatx",
    "generator_loader",
    "graph_attribute",
    "hide_from_tracebacks",
    "input_layers",
    "is_distributed",
    "is_end_of_input",
    "is_graph",
    "is_keras_2",
    "is_keras_own_function",
    "is_sequential",
    "keras_package",
    "loss_name",
    "may_sample",
    "next_layers",
    "one_step_function",
    "operation_name",
    "operations_of",
    "own_train_function",
    "queued_batches",
    "ready_input",
    "single_step_function",
    "software_versions",
    "step_access",
    "step_marker",
    "steps_of_execution",
    "trains_as_keras_does",
    "use_workers",
    "version_matches",
    "was_traced_before",
    "why_not_iterate",
    "work_in_flight",
    "writes_checkpoints",
]
