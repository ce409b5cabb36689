"""How the profiler gets into a fit that knows nothing of it, on a Keras made of twenty lines."""

from __future__ import annotations

import importlib.machinery
import sys
import types

import pytest

from kerasdiag.cli.startup.sitecustomize import AfterImport
from kerasdiag.profiler import attach
from kerasdiag.profiler.attach import join_containers
from kerasdiag.profiler.every_fit import numbered

KERAS = """
class CallbackList:
    def __init__(self, callbacks=None, add_history=False, model=None, **params):
        self.callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks else []
        if add_history:
            self.callbacks.append("history")

def fit(callbacks=None, **arguments):
    return CallbackList(callbacks, **arguments).callbacks

def fit_generator(callbacks=None):
    return fit(callbacks)

def fit_loop(callbacks=None):
    return configure(callbacks)

def configure(callbacks):
    return CallbackList(callbacks).callbacks

def evaluate(callbacks=None):
    return CallbackList(callbacks).callbacks
"""


@pytest.fixture
def tiny_keras(tmp_path, monkeypatch):
    """A function that imports a module with a CallbackList anew."""
    (tmp_path / "tiny_keras.py").write_text(KERAS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.delitem(sys.modules, "tiny_keras", raising=False)
    yield lambda: importlib.import_module("tiny_keras")
    sys.modules.pop("tiny_keras", None)


class Joins:
    """Stands for EveryFit: leaves out "checkpoint", adds "profiler"."""

    def __init__(self):
        self.completed = []

    def choose(self, callbacks):
        if isinstance(callbacks, list) and "checkpoint" in callbacks:
            return [callback for callback in callbacks if callback != "checkpoint"]
        return callbacks

    def complete(self, container, model, params):
        self.completed.append((model, params))
        container.callbacks.append("profiler")


# --- The import ------------------------------------------------------------------------------------


def test_module_is_seen_once_it_is_complete(tiny_keras):
    """Found, loaded and shown as without us, its loader included."""
    seen = []
    sys.meta_path.insert(0, AfterImport(["tiny_keras"], lambda module: seen.append(module.CallbackList)))
    module = tiny_keras()
    assert seen == [module.CallbackList]
    assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
    assert "exec_module" not in vars(module.__spec__.loader)
    importlib.reload(module)
    assert len(seen) == 2


def test_other_modules_are_not_touched(tiny_keras):
    """Every other import of the script goes its own way."""
    finder = AfterImport(["tiny_keras.other"], lambda module: pytest.fail("not this one"))
    sys.meta_path.insert(0, finder)
    tiny_keras()
    assert finder.find_spec("tiny_keras", None) is None


def test_tools_that_ask_each_other_do_not_ask_for_ever(tiny_keras):
    """Two of our kind, each of which passes the question on to everybody."""
    seen = []
    for number in (1, 2):
        sys.meta_path.insert(0, AfterImport(["tiny_keras"], lambda module, number=number: seen.append(number)))
    tiny_keras()
    assert sorted(seen) == [1, 2]


def test_module_that_fails_or_is_missing_fails_as_without_us(tiny_keras, tmp_path):
    """The error is the script's own."""
    seen = []
    sys.meta_path.insert(0, AfterImport(["tiny_keras", "tiny_absent"], seen.append))
    (tmp_path / "tiny_keras.py").write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        tiny_keras()
    with pytest.raises(ModuleNotFoundError, match="tiny_absent"):
        importlib.import_module("tiny_absent")
    assert not seen


def test_loader_without_attributes_loads_as_without_us(tiny_keras):
    """One with slots, or one that is a class: the script has its Keras, and the profiler stays away."""

    class Slots:
        __slots__ = ()

        def create_module(self, spec):
            return None

        def exec_module(self, module):
            module.CallbackList = "found"

    class Static:
        create_module = staticmethod(lambda spec: None)
        exec_module = staticmethod(lambda module: vars(module).update(CallbackList="found"))

    for loader in (Slots(), Static):
        spec = importlib.machinery.ModuleSpec("tiny_keras", loader)
        finder = types.SimpleNamespace(find_spec=lambda *_, spec=spec: spec)
        sys.meta_path[:0] = [AfterImport(["tiny_keras"], lambda module: None), finder]
        assert tiny_keras().CallbackList == "found"
        del sys.meta_path[:2], sys.modules["tiny_keras"]


def test_fault_of_ours_does_not_reach_the_import(tiny_keras, capfd):
    """The script has its Keras; stderr has a line."""
    sys.meta_path.insert(0, AfterImport(["tiny_keras"], lambda module: 1 / 0))
    assert tiny_keras().fit() == []
    assert "could not be started (ZeroDivisionError" in capfd.readouterr().err


# --- The container ---------------------------------------------------------------------------------


@pytest.fixture
def joined(tiny_keras):
    """The tiny Keras, and who has joined it."""
    module, joins = tiny_keras(), Joins()
    join_containers(module.CallbackList, joins, lambda: True)
    return module, joins


def test_each_form_of_callbacks_gets_one_profiler(joined):
    """None, one, a list, a tuple; behind what Keras adds. The script's own list stays as it is."""
    module, joins = joined
    own = ["own", "checkpoint"]
    assert module.fit() == ["profiler"]
    assert module.fit("own", add_history=True) == ["own", "history", "profiler"]
    assert module.fit(("own",)) == ["own", "profiler"]
    assert module.fit(own, model="model", epochs=3, steps=5) == ["own", "profiler"]
    assert own == ["own", "checkpoint"]
    assert joins.completed[-1] == ("model", {"epochs": 3, "steps": 5})
    assert module.CallbackList(["own"], False, "by position").callbacks == ["own", "profiler"]
    assert joins.completed[-1][0] == "by position"


def test_evaluate_is_left_alone(joined):
    """A script may call it ten thousand times."""
    module, joins = joined
    assert module.evaluate(["own", "checkpoint"]) == ["own", "checkpoint"]
    assert not joins.completed


def test_checkpoints_of_a_loop_of_the_scripts_own_stay(joined):
    """Only what a fit of Keras makes is chosen from; a function of the script may be called fit, and run inside of one."""
    module, _ = joined

    def fit(callbacks):
        return module.CallbackList(callbacks).callbacks

    assert module.CallbackList(["checkpoint"]).callbacks == ["checkpoint", "profiler"]
    assert fit(["checkpoint"]) == ["checkpoint", "profiler"]
    assert module.fit_generator(["own", "checkpoint"]) == ["own", "profiler"]
    module.fit.__globals__["configure"] = fit
    assert module.fit_loop(["checkpoint"]) == ["checkpoint", "profiler"]


def test_forked_child_is_left_alone(tiny_keras):
    """Its fits would write over the files of the parent."""
    module, joins = tiny_keras(), Joins()
    join_containers(module.CallbackList, joins, lambda: False)
    assert module.fit(["checkpoint"]) == ["checkpoint"]


def test_fault_of_ours_does_not_reach_the_fit(joined, caplog):
    """It runs with the callbacks that it was given."""
    module, joins = joined
    joins.choose = joins.complete = lambda *_: 1 / 0
    assert module.fit(["own"]) == ["own"]
    assert caplog.text.count("could not join") == 2


def test_class_that_is_passed_on_is_joined_once(tiny_keras, monkeypatch):
    """keras.callbacks shows the class of keras.src.callbacks."""
    module = tiny_keras()
    attachment = attach.Attachment(until_verdict=False, output=None)
    attachment.join_containers_of(module)
    joined_init = module.CallbackList.__init__
    attachment.join_containers_of(module)
    assert module.CallbackList.__init__ is joined_init
    assert joined_init.__wrapped__.__name__ == "__init__"


# --- Names -----------------------------------------------------------------------------------------


def test_fits_are_numbered_before_the_extensions(tmp_path):
    """run-2.kdprof.json stays a .kdprof.json."""
    assert numbered(tmp_path / "run.kdprof.json", 1) == tmp_path / "run.kdprof.json"
    assert numbered(tmp_path / "run.kdprof.json", 12) == tmp_path / "run-12.kdprof.json"
    assert numbered(tmp_path / "panel.txt", 2) == tmp_path / "panel-2.txt"
