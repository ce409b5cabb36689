"""Everything that functions of the user's can change, found without calling them: kept, or a reason not to call them.

A measurement that calls such a function beside a training must leave it as it was: its own random numbers, its
counters, its caches. What is found is kept and put back; where something is found that cannot be put back, or that is
not known here, the function is not called.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any  # values of the user's

from kerasdiag.random_streams import streams_kept
from kerasdiag.user_code.keep import Save
from kerasdiag.user_code.walk import NotKeptError, Walk

# What Keras calls, or the measurements here, to make a row.
_MAKING_A_ROW = (
    "_get_batches_of_transformed_samples", "get_random_transform", "random_transform", "apply_transform", "standardize",
    "preprocessing_function", "image_data_generator",
)  # fmt: skip


class Reach:
    """What some functions can change, all of which can be put back."""

    def __init__(self, savers: list[Save]) -> None:
        self._savers = savers

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Put it back afterwards, and the global random numbers of NumPy and Python with it."""
        with streams_kept(), ExitStack() as restores:
            for save in self._savers:
                restores.callback(save())
            yield


def reach_of(function: Any, known: Iterable[Any] = ()) -> Reach | str:
    """Return what a function can change, or why it must not be called beside a training.

    Kept are generators of random numbers of NumPy and Python; lists, dictionaries, sets and arrays; attributes of
    objects and classes; variables of modules and of enclosing functions. Arrays above 16 MiB and objects of pandas,
    Pillow and h5py are taken to be only read; files that a function writes are not looked for.

    Args:
        function: A function, a bound method or a callable object.
        known: Objects whose attributes somebody else puts back, such as the model that is being trained.
    """
    return _reach(Walk(known=known), [(function, getattr(function, "__name__", type(function).__name__))])


def reach_of_generator(generator: Any, *, with_function: bool = True) -> Reach | str:
    """Return what making rows of an ImageDataGenerator iterator can change, or why they must not be made.

    Args:
        generator: The iterator. Its own counters and order are not touched when rows are made.
        with_function: Whether the ``preprocessing_function`` is called.
    """
    walk = Walk(passed_over=() if with_function else ("preprocessing_function",))
    walk.attributes.update(_MAKING_A_ROW)
    # The order in which it is iterated over is a Python generator, which nobody can put back, and nobody asks here.
    walk.passed_over.add("index_generator")
    roots = [(getattr(generator, "image_data_generator", None), "its ImageDataGenerator"), (generator, "the iterator")]
    return _reach(walk, roots)


def _reach(walk: Walk, roots: list[tuple[Any, str]]) -> Reach | str:
    try:
        for root, text in roots:
            walk.look(root, text)
        return Reach(walk.finish())
    except NotKeptError as reason:
        return f"{reason}{_where(list(walk.packages))}"
    except Exception as fault:  # foreign objects answer in their own ways
        return f"it could not be told what {roots[0][1]} changes ({type(fault).__name__}: {fault})".splitlines()[0]


def _where(packages: list[str]) -> str:
    """Name the first packages, the one that the user's function calls before those that this one calls."""
    if not packages:
        return ""
    more = f" and {len(packages) - 3} more" if len(packages) > 3 else ""
    return f" (looked into: {', '.join(packages[:3])}{more})"
