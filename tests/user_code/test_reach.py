"""What functions can change is put back after they were called, or they are not called."""

from __future__ import annotations

import functools
import importlib
import itertools
import random
import types

import numpy as np
import pytest

from kerasdiag.user_code import reach_of


def draws_from(draw):
    return lambda image: image + draw()


def enclosed():
    return draws_from(np.random.default_rng(1).normal)


def wrapped():
    """Its ``__module__`` is that of NumPy."""
    return functools.wraps(np.flip)(enclosed())


def of_old_numpy():
    stream = np.random.RandomState(1)
    return lambda image: image + stream.normal()  # two at a time: the second one is remembered


def of_another_bit_generator():
    stream = np.random.Generator(np.random.MT19937(1))
    return lambda image: image + stream.integers(100, dtype=np.int32)  # the other half of 64 bits is remembered


def of_python():
    return draws_from(random.Random(1).random)


def default_argument():
    def noisy(image, stream=np.random.default_rng(1), *, log=[]):  # noqa: B006, B008  # as users do
        log.append(stream.random())
        return image + sum(log)

    return functools.partial(noisy)


class Augmentation:
    """Draws, counts and remembers, in attributes of its own and of its class."""

    calls = 0
    shared = np.random.default_rng(2)

    def __init__(self):
        self.streams = {"noise": np.random.default_rng(1)}
        self.cache = {}
        self.sums = np.zeros(3)

    def __call__(self, image):
        type(self).calls += 1
        self.last = self.cache.setdefault(len(self.cache), self._draw())
        self.sums[0] += self.last
        return image + self.sums[0] + self.calls

    def _draw(self):
        return self.streams["noise"].random() + self.shared.random()

    def function(self, image):
        return self(image)


def fresh(member=None):
    """Of a class that nobody else has called."""
    own = {"shared": np.random.default_rng(2), "__module__": __name__}
    kind = type("Fresh", (Augmentation,), own)
    return getattr(kind(), member) if member else kind()


def enclosed_counter():
    count, attempts = 0, []

    def counting(image):
        nonlocal count
        count += 1
        attempts.append(count)
        counting.calls = getattr(counting, "calls", 0) + 1
        return image + count + len(attempts) + counting.calls

    return counting


MODULE = """
import numpy as np
stream = np.random.default_rng(1)
calls = more = 0
def noisy(image):
    global calls
    calls += 1
    return image + calls + np.array([stream.random() for _ in range(3)]).sum()
"""


def of_a_module():
    """Global variables, and those of a module that another function asks."""
    module = types.ModuleType("augmentations")
    exec(MODULE, vars(module))

    def both(image):
        module.more += 1
        return module.noisy(image) + module.calls + module.more

    return both


def global_numbers():
    return lambda image: image + np.random.random() + random.random()


KEPT = {
    "enclosed": enclosed, "wrapped": wrapped, "RandomState": of_old_numpy, "MT19937": of_another_bit_generator, "random.Random": of_python,
    "defaults": default_argument, "callable object": fresh, "bound method": lambda: fresh("function"),
    "counter": enclosed_counter, "module": of_a_module,
}  # fmt: skip


def results(function, times=3):
    return [float(np.sum(function(np.zeros((2, 2, 3))))) for _ in range(times)]


@pytest.mark.parametrize("make", KEPT.values(), ids=KEPT.keys())
def test_a_function_goes_on_as_if_it_had_not_been_called(make):
    """Its results are those of an equal one that nobody called in between."""
    measured, untouched = make(), make()
    assert results(measured) == results(untouched)  # in the middle of a training
    reach = reach_of(measured)
    assert not isinstance(reach, str), reach
    with reach.kept():
        assert len({*results(measured, 5)}) > 1, "this case proves nothing"
    assert results(measured) == results(untouched)


def test_global_random_numbers_are_put_back():
    """Those of NumPy and of Python, together with all else."""
    function = global_numbers()
    np.random.seed(1)
    random.seed(1)
    untouched = results(function)
    np.random.seed(1)
    random.seed(1)
    with reach_of(function).kept():
        results(function)
    assert results(function) == untouched


def test_what_raises_is_put_back_too():
    """A function that fails on an image has drawn before."""
    stream = np.random.default_rng(1)

    def failing(image):
        raise ValueError(stream.random())

    with pytest.raises(ValueError), reach_of(failing).kept():
        failing(None)
    assert stream.random() == np.random.default_rng(1).random()


def iterator():
    numbers = itertools.count()
    return lambda image: image + next(numbers)


def python_generator():
    numbers = (number for number in range(100))
    return lambda image: image + next(numbers)


def spawning():
    stream = np.random.default_rng(1)
    return lambda image: image + stream.spawn(1)[0].random()


def evaluating():
    return lambda image: eval("image")


def remembered():
    return draws_from(functools.lru_cache(np.random.default_rng(1).random))


def of_a_list_of_its_own():
    class Log(list):
        def __call__(self, image):
            self.append(1)
            return image + len(self)

    return Log()


def whole_module():
    import kerasdiag

    return lambda image: print(kerasdiag) or image


REFUSED = {
    "count": iterator, "generator": python_generator, "spawn": spawning, "builtins.eval": evaluating,
    "lru_cache": remembered, "list": of_a_list_of_its_own, "hands on the module": whole_module,
}  # fmt: skip


@pytest.mark.parametrize(("word", "make"), REFUSED.items(), ids=REFUSED.keys())
def test_what_cannot_be_put_back_is_a_reason(word, make):
    """Such a function is never called, and the reason names what it reaches."""
    reason = reach_of(make())
    assert isinstance(reason, str)
    assert word in reason


def test_the_reason_names_the_packages_that_were_looked_into(tmp_path, monkeypatch):
    """The user knows which augmentations were imported, not what these are made of."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    lines = ["from itertools import count", "numbers = count()", "class Flip:", "    def __call__(self, image):"]
    (folder / "kerasdiag_test_flips.py").write_text("\n".join([*lines, "        return image + next(numbers)\n"]))
    monkeypatch.syspath_prepend(folder)
    flip = importlib.import_module("kerasdiag_test_flips").Flip()
    assert reach_of(lambda image: flip(image / 255)).endswith("(looked into: kerasdiag_test_flips)")


@pytest.mark.keras
def test_frameworks_draw_from_streams_of_their_own():
    """TensorFlow's random numbers and Keras' layers are refused; their pure functions are not."""
    from keras_api import keras, tf

    generator, layer = tf.random.Generator.from_seed(1), keras.layers.Dropout(0.5)

    def imports(image):
        from tensorflow import random as draws

        return image + draws.uniform(())

    refused = [
        lambda image: image + tf.random.uniform(()),
        lambda image: image + generator.uniform(()),
        lambda image: layer(image, training=True),
        lambda image: image + [tf][0].random.uniform(()),
        tf.image.random_flip_left_right,
        imports,
    ]
    assert [isinstance(reach_of(one), str) for one in refused] == [True] * len(refused)
    harmless = [
        keras.applications.resnet.preprocess_input,
        lambda image: tf.image.adjust_gamma(image, 2.0).numpy(),
        lambda image: keras.preprocessing.image.random_shift(image, 0.1, 0.1),
    ]
    assert not [reason for one in harmless if isinstance(reason := reach_of(one), str)]
