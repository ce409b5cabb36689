"""``kerasdiag run`` on scripts that train: what they compute stays theirs, and every fit gets its verdict."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest
from builders import write_photos
from cli.running import PLAIN, RUN, default_signals, environment, panels, run, said, start, without_ours
from keras_api import IS_KERAS_2

from kerasdiag import RunProfile

# Each test starts Python and TensorFlow once or twice. Those that depend on the version of Keras are its
# core (pytest.mark.keras); the rest runs on the newest one, and everywhere before a release.


@pytest.fixture
def script(tmp_path):
    """A function that writes the script of a test."""

    def write(text):
        path = tmp_path / "train.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path.name

    return write


def traceback_of(errors):
    """From the first line of a traceback on, without what differs between any two runs.

    That is TensorFlow's log before it, and the names of the files that autograph makes.
    """
    return re.sub(r"(__autograph_generated_file)\w+", r"\1", errors[errors.index("Traceback") :])


# --- What the script computes ----------------------------------------------------------------------

TRAINS = """
    from trainings import fit_arguments, make_model, outcome
    model = make_model()
    history = model.fit(**fit_arguments({kind!r}), epochs=4, verbose=2)
    for values in outcome(model, history):
        print(values.tobytes().hex())
    print(open(__file__).read()[:5], type(model.history).__name__, model.train_function.__module__)
"""


@pytest.mark.parametrize("kind", ["arrays", pytest.param("py-dataset", marks=pytest.mark.keras)])
def test_losses_and_weights_are_those_of_plain_python(script, tmp_path, kind):
    """To the last bit; what kerasdiag says is on stderr, and one panel is all of it."""
    name = script(TRAINS.format(kind=kind))
    plain = run(PLAIN, [name], tmp_path)
    code, output, errors = run(RUN, [name], tmp_path)
    assert (code, bit_lines(output)) == (0, bit_lines(plain[1]))
    assert len(bit_lines(output)) > 10
    assert "kerasdiag" not in output
    assert len(panels(errors)) == 1
    assert "Steps 31 measured in 4 epochs, 5 warm-up" in panels(errors)[0]
    assert "kerasdiag" not in without_ours(errors)
    assert "WARNING:tensorflow" not in errors


def bit_lines(output):
    """The lines that are equal in two runs; Keras prints times in others."""
    return [line for line in output.splitlines() if "step" not in line]


# Where it crashes -> the line, and the state and steps of the profile that is kept. The data are arrays: with a Python
# loader that is still iterated at the exit, TensorFlow itself now and then never ends, under plain python, too.
CRASHES = {
    "before fit": ("open('absent.csv')", None),
    "in a callback": ("model.fit(*arrays, BATCH_SIZE, verbose=0, callbacks=[Crashes(30)])", ("interrupted", 31)),
    "in a first hook": (
        "model.fit(*arrays, BATCH_SIZE, verbose=0, callbacks=[Crashes(-1)])",
        None,
    ),  # our turn comes last
    "in the model": ("model.fit(np.zeros((8, 5)), np.zeros(8), verbose=0)", ("interrupted", 0)),
    "after fit": ("model.fit(*arrays, BATCH_SIZE, verbose=0); {}['weights']", ("completed", 40)),
}


@pytest.mark.parametrize(
    "where", [pytest.param(where, marks=[pytest.mark.keras] * (where == "in the model")) for where in CRASHES]
)
def test_crash_looks_as_under_plain_python(script, tmp_path, where):
    """The traceback to the letter, no frame of ours in it; the profile of what has run is kept."""
    line, expected = CRASHES[where]
    name = script(f"""
        import numpy as np
        from trainings import BATCH_SIZE, keras, make_arrays, make_model

        class Crashes(keras.callbacks.Callback):
            def __init__(self, at):
                super().__init__()
                self.at = at
            def on_train_begin(self, logs=None):
                if self.at < 0:
                    raise RuntimeError("no licence")
            def on_train_batch_end(self, batch, logs=None):
                if batch == self.at:
                    raise RuntimeError("diverged")

        model = make_model(dropout=False)
        arrays = make_arrays(320)
        print("made", flush=True)
        {line}
    """)
    plain = run(PLAIN, [name], tmp_path)
    code, output, errors = run([*RUN, "-o", "run.kdprof.json"], [name], tmp_path)
    assert (code, output) == plain[:2]
    assert code == 1
    assert traceback_of(without_ours(errors)) == traceback_of(plain[2])
    kept = [RunProfile.load(path) for path in tmp_path.glob("*.kdprof.json")]
    assert [(profile.state, profile.steps.num_steps) for profile in kept] == ([expected] if expected else [])
    assert any("No fit ran" in sentence for sentence in said(errors)) is (not kept)


@pytest.mark.keras
@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_shows_the_panel_and_ends_as_plain_python(script, tmp_path):
    """Slow runs are ended by Ctrl-C: the panel comes, then the traceback, and the process dies of the signal.

    The signal comes while the training waits for its 100th batch: between two steps, in code of Keras
    that asks nobody, it would end the training before the panel could be printed, and that comes last then.
    """
    name = script("""
        import os, signal
        import scripted

        def batches(load_s, steps, sleeping=scripted.sleeping_generator):
            for number, batch in enumerate(sleeping(load_s, steps)):
                if number == 100:
                    os.kill(os.getpid(), signal.SIGINT)
                yield batch

        scripted.sleeping_generator = batches
        scripted.make_scripted_model(0.004).fit(scripted.sleeping_dataset(0.008, 4000), verbose=0)
    """)
    with default_signals():
        process = start(RUN, [name], tmp_path)
    try:
        output, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT, errors
    assert output == ""
    assert "(the training was interrupted)" in panels(errors)[0]
    assert errors.rstrip().endswith("KeyboardInterrupt"), errors


# --- Every fit -------------------------------------------------------------------------------------

FORMS = """
    import sys
    from trainings import fit_arguments, keras, make_model
    from kerasdiag import BottleneckProfiler

    class Trainer(keras.Model):
        def fit(self, *args, **kwargs):
            return super().fit(*args, **kwargs)

    arguments = fit_arguments("arrays")
    x, y = arguments["x"], arguments["y"]
    model = make_model()
    subclass = Trainer(model.inputs, model.outputs)
    subclass.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    stops = keras.callbacks.EarlyStopping("loss", patience=99)
    own = [stops]
    forms = {
        "none": lambda: model.fit(x, y, verbose=0),
        "position": lambda: model.fit(x, y, 8, 1, 0, own),
        "keyword": lambda: model.fit(x, y, verbose=0, callbacks=own),
        "single": lambda: model.fit(x, y, verbose=0, callbacks=stops),
        "list": lambda: model.fit(
            x, y, verbose=0, callbacks=keras.callbacks.CallbackList([stops], model=model, epochs=1, steps=9)
        ),
        "subclass": lambda: subclass.fit(x, y, verbose=0),
        "own profiler": lambda: model.fit(x, y, verbose=0, callbacks=[BottleneckProfiler()]),
        "own loop": lambda: loop(),
        "evaluate": lambda: model.evaluate(x, y, verbose=0),
        "predict": lambda: len(model.predict(x, verbose=0)),
    }

    def loop():
        callbacks = keras.callbacks.CallbackList([stops], model=model, epochs=1, steps=1)
        callbacks.on_train_begin()
        callbacks.on_train_end()

    for name, form in forms.items():
        print("form", name, file=sys.stderr, flush=True)
        form()
    assert own == [stops]
"""


@pytest.mark.keras
def test_each_form_of_fit_is_profiled_once(script, tmp_path):
    """By position, by keyword, one callback, a container, a subclass; not evaluate, not predict, not beside an own one."""
    code, output, errors = run(RUN, [script(FORMS)], tmp_path)
    assert code == 0, errors
    parts = dict(part.split("\n", 1) for part in errors.split("form ")[1:])
    counts = {name: len(panels(part)) for name, part in parts.items()}
    assert counts == {
        "none": 1, "position": 1, "keyword": 1, "single": 1, "list": 1, "subclass": 1,
        "own profiler": 0, "own loop": 0, "evaluate": 0, "predict": 0,
    }  # fmt: skip
    assert len(panels(output)) == 1  # of the script's own profiler, where it always goes
    assert "No fit ran" not in errors


def test_each_fit_keeps_its_profile(script, tmp_path):
    """The second one does not write over the first, wherever the script goes; one with its own profiler is kept, too."""
    name = script("""
        import os
        from scripted import free_dataset, make_scripted_model, sleeping_dataset
        from kerasdiag import BottleneckProfiler
        os.makedirs("elsewhere")
        os.chdir("elsewhere")
        model = make_scripted_model(0.004)
        model.fit(sleeping_dataset(0.02, 40), verbose=0)
        model.fit(free_dataset(50), verbose=0)
        model.fit(free_dataset(60), verbose=0, callbacks=[BottleneckProfiler(report=None)])
    """)
    code, output, errors = run([*RUN, "-o", "out/run.kdprof.json"], [name], tmp_path)
    assert (code, output) == (0, "")
    paths = [tmp_path / "out" / f"run{number}.kdprof.json" for number in ("", "-2", "-3")]
    assert [RunProfile.load(path).steps.num_steps for path in paths] == [40, 50, 60]
    verdicts = [json.loads(path.read_text(encoding="utf-8"))["diagnosis"]["verdict"] for path in paths]
    assert verdicts[0] == "input-bound"
    assert verdicts[1] != "input-bound"
    assert len(panels(errors)) == 2
    assert said(errors)[-1] == "wrote " + ", ".join(map(str, paths))


ARTICLE = """
    import sys
    import pandas as pd
    from keras_api import keras
    from keras_api import IS_KERAS_2
    from pathlib import Path

    frame = pd.DataFrame({"path": sorted(map(str, Path("photos").rglob("*.jpg")))})
    frame["label"] = [Path(path).parent.name for path in frame["path"]]
    frame = pd.concat([frame] * 6, ignore_index=True)
    generator = keras.preprocessing.image.ImageDataGenerator(
        rescale=1.0 / 255, rotation_range=30, shear_range=0.2, zoom_range=0.2, horizontal_flip=True, validation_split=0.1
    )
    training, validation = [
        generator.flow_from_dataframe(
            frame, x_col="path", y_col="label", class_mode="categorical", target_size=(150, 150), batch_size=4,
            subset=subset, seed=1,
        )
        for subset in ("training", "validation")
    ]
    inputs = keras.Input((150, 150, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(pooled))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    fit = model.fit_generator if sys.argv[1] == "fit_generator" else model.fit
    history = fit(training, steps_per_epoch=30, validation_data=validation, epochs=1, verbose=2)
    print("lost", sorted(history.history))
"""


@pytest.mark.keras
@pytest.mark.thorough
@pytest.mark.parametrize("method", ["fit", "fit_generator"])
def test_the_articles_script(script, tmp_path, method):
    """flow_from_dataframe with augmentation, unchanged: input-bound, and autofix is the next line."""
    if method == "fit_generator" and not IS_KERAS_2:
        pytest.skip("fit_generator is of Keras 2 only")
    for label in ("cat", "dog"):
        write_photos(tmp_path / "photos" / label, 12, size=(120, 160), seed=len(label))
    code, output, errors = run([*RUN, "-o", "run.kdprof.json"], [script(ARTICLE), method], tmp_path)
    assert code == 0, errors
    assert "lost ['accuracy', 'loss', 'val_accuracy', 'val_loss']" in output
    assert len(panels(errors)) == 1
    assert "input-bound" in panels(errors)[0]
    assert "autofix" in panels(errors)[0]
    profile = RunProfile.load(tmp_path / "run.kdprof.json")
    assert profile.steps.num_steps == profile.planned_steps_per_epoch == 30
    assert profile.training_input.class_name == "DataFrameIterator"
    assert profile.validation_s > 0


# --- Until the verdict -----------------------------------------------------------------------------

ENDLESS = """
    import atexit, multiprocessing, time
    import numpy
    numpy.Inf = numpy.inf  # ModelCheckpoint of Keras 3.3 asks NumPy 2 for it
    from keras_api import keras
    from scripted import free_dataset, make_scripted_model, sleeping_dataset

    class Mine(keras.callbacks.ModelCheckpoint):
        pass

    def wait():
        time.sleep(600)

    if __name__ == "__main__":
        child = multiprocessing.get_context("spawn").Process(target=wait, daemon=True)
        child.start()
        print("child", child.pid)
        atexit.register(lambda: open("atexit.txt", "w").close())
        model = make_scripted_model({step_s})
        data = sleeping_dataset({load_s}, 3000) if {load_s} else free_dataset(3000)
        kept = [
            Mine("best.weights.h5", save_weights_only=True, save_freq=3),
            [keras.callbacks.BackupAndRestore("backup", save_freq=3)],
            keras.callbacks.CSVLogger("log.csv"),
        ]
        try:
            model.fit(data, epochs=4, verbose=0, callbacks=kept)
        finally:
            open("finally.txt", "w").close()
"""


@pytest.mark.keras
@pytest.mark.thorough
@pytest.mark.parametrize(("load_s", "step_s", "verdict"), [(0.03, 0.004, "input-bound"), (0, 0.03, "compute-bound")])
def test_until_verdict_ends_the_script_at_its_verdict(script, tmp_path, load_s, step_s, verdict):
    """Of 12,000 steps a few dozen; exit code 0, verdict, next line and price; nothing is saved, no child is left."""
    name = script(ENDLESS.format(load_s=load_s, step_s=step_s))
    code, output, errors = run([*RUN, "--until-verdict", "-o", "run.kdprof.json"], [name], tmp_path)
    assert code == 0, errors
    assert f"kerasdiag: {verdict}" in panels(errors)[0]
    assert "Next:" in panels(errors)[0]
    sentences = " ".join(said(errors))
    assert "Left out until the verdict: Mine, BackupAndRestore." in sentences
    assert "per epoch of 3,000 steps" in sentences
    assert "in the 4 epochs planned" in sentences
    assert "Ended by --until-verdict after" in sentences
    profile = RunProfile.load(tmp_path / "run.kdprof.json")
    assert 44 <= profile.steps.num_steps < 1500
    # Keras 3's CSVLogger makes its file at once, which is said in --help.
    left = {path.name for path in tmp_path.iterdir()} - {"kerasdiag-cache", "log.csv"}
    assert left == {"run.kdprof.json", "train.py"}
    assert list((tmp_path / "kerasdiag-cache" / "profiles").glob("*.kdprof.json"))
    assert has_ended(int(output.split()[1]))


def has_ended(process):
    """Whether a process ends within seconds; some containers have nobody who reaps it."""
    for _ in range(100):
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def test_until_verdict_lets_a_short_script_end(script, tmp_path):
    """Its fits end before the verdict is stable: the script goes on to its own end and exit code."""
    name = script("""
        import sys
        from scripted import make_scripted_model, sleeping_dataset
        model = make_scripted_model(0.004)
        for _ in range(2):
            model.fit(sleeping_dataset(0.02, 30), verbose=0)
        open("saved.txt", "w").close()
        sys.exit(5)
    """)
    code, _, errors = run([*RUN, "--until-verdict"], [name], tmp_path)
    assert code == 5
    assert (tmp_path / "saved.txt").exists()
    assert len(panels(errors)) == 2
    assert said(errors)[-1].startswith("The script ended before the verdict was stable. The last one: Input-bound: ")


def test_until_verdict_ends_at_once_where_no_verdict_can_come(script, tmp_path):
    """What cannot be measured is said before the first step, with its reason."""
    name = script("""
        from keras_api import keras
        from scripted import free_dataset, make_scripted_model

        class Own(keras.Model):
            def make_train_function(self, force=False):
                return super().make_train_function(force)

        plain = make_scripted_model(0.004)
        model = Own(plain.inputs, plain.outputs)
        model.compile("sgd", "mse")
        model.fit(free_dataset(3000), verbose=0)
        open("saved.txt", "w").close()
    """)
    code, _, errors = run([*RUN, "--until-verdict"], [name], tmp_path)
    assert code == 0
    assert "the model overrides make_train_function" in panels(errors)[0]
    assert "no verdict will come" in said(errors)[-1]
    assert not (tmp_path / "saved.txt").exists()


@pytest.mark.keras
@pytest.mark.thorough
def test_until_verdict_leaves_a_loop_of_the_scripts_own_alone(script, tmp_path):
    """Its checkpoint is written, as it trains to its end; that of a fit in a subclass, or in a container, is not."""
    name = script("""
        import numpy
        numpy.Inf = numpy.inf  # ModelCheckpoint of Keras 3.3 asks NumPy 2 for it
        from trainings import fit_arguments, keras, make_model

        class Trainer(keras.Model):
            def fit(self, *args, **kwargs):
                return super().fit(*args, **kwargs)

        def keeps(name):
            return keras.callbacks.ModelCheckpoint(name + ".weights.h5", save_weights_only=True)

        arguments = fit_arguments("arrays")
        model = make_model()
        callbacks = keras.callbacks.CallbackList([keeps("loop")], model=model)
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        model.train_on_batch(arguments["x"][:8], arguments["y"][:8])
        callbacks.on_epoch_end(0, {"loss": 1.0})
        callbacks.on_train_end()

        trainer = Trainer(model.inputs, model.outputs)
        trainer.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        trainer.fit(**arguments, verbose=0, callbacks=[keeps("fit")])
        if hasattr(trainer, "fit_generator"):
            trainer.fit_generator(fit_arguments("python-generator")["x"], 9, verbose=0, callbacks=[keeps("generator")])
        made = keras.callbacks.CallbackList([keeps("container")], add_history=True, model=model, epochs=1, steps=9)
        model.fit(**arguments, verbose=0, callbacks=made)
    """)
    code, _, errors = run([*RUN, "--until-verdict"], [name], tmp_path)
    assert code == 0, errors
    assert {path.name.split(".")[0] for path in tmp_path.glob("*.weights.h5*")} == {"loop"}
    assert "Left out until the verdict: ModelCheckpoint." in " ".join(said(errors))


def test_until_verdict_beside_a_profiler_of_the_script(script, tmp_path):
    """It ends there, too, with one panel."""
    name = script("""
        from scripted import make_scripted_model, sleeping_dataset
        from kerasdiag import BottleneckProfiler
        make_scripted_model(0.004).fit(sleeping_dataset(0.02, 3000), verbose=0, callbacks=[BottleneckProfiler()])
    """)
    code, output, errors = run([*RUN, "--until-verdict"], [name], tmp_path)
    assert (code, output) == (0, "")
    assert len(panels(errors)) == 1
    assert "Ended by --until-verdict after" in said(errors)[-1]


def test_disabled_run_trains_as_plain_python(script, tmp_path):
    """KERASDIAG_DISABLE=1: checkpoints are written, and not a word is said."""
    name = script("""
        import numpy
        numpy.Inf = numpy.inf  # ModelCheckpoint of Keras 3.3 asks NumPy 2 for it
        from trainings import keras, fit_arguments, make_model
        make_model().fit(
            **fit_arguments("arrays"), verbose=0,
            callbacks=[keras.callbacks.ModelCheckpoint("best.weights.h5", save_weights_only=True)],
        )
    """)
    code, output, errors = run([*RUN, "--until-verdict"], [name], tmp_path, KERASDIAG_DISABLE="1")
    assert (code, output) == (0, "")
    assert "kerasdiag" not in errors
    assert list(tmp_path.glob("best.weights.h5*"))


# How stderr is taken away -> the shell's word for it.
UNHEARD = {"no reader": "2>&1 >/dev/null | true", "closed": "2>&- >/dev/null"}


@pytest.mark.parametrize("how", UNHEARD)
@pytest.mark.parametrize("options", [[], ["--until-verdict"]])
def test_stderr_that_nobody_reads_changes_nothing(script, tmp_path, how, options):
    """The checkpoint of the user is replaced only in a run to the end, and the exit code is that of plain python.

    Of a Python whose streams are buffered, as they are unless somebody asks: there a text without a reader costs an exit code.
    """
    name = script("""
        import os, time
        import numpy
        numpy.Inf = numpy.inf  # ModelCheckpoint of Keras 3.3 asks NumPy 2 for it
        time.sleep(0.5)  # the reader has left
        from keras_api import keras
        from scripted import make_scripted_model, sleeping_dataset
        checkpoint = keras.callbacks.ModelCheckpoint("best.weights.h5", save_weights_only=True)
        make_scripted_model(0.004).fit(sleeping_dataset(0.01, 30), verbose=0, callbacks=[checkpoint])
    """)
    kept = tmp_path / "best.weights.h5"
    codes = []
    for command in (PLAIN, [*RUN, *options]):
        kept.write_text("a week of training")
        line = " ".join([*command, name])
        shell = ["bash", "-c", f"( {line}; echo $? > code ) {UNHEARD[how]}"]
        # Keras 3 warns, and that alone would end plain Python with 120.
        variables = environment(PYTHONUNBUFFERED=None, PYTHONWARNINGS="ignore")
        subprocess.run(shell, cwd=tmp_path, env=variables, timeout=240, check=True)
        codes.append((tmp_path / "code").read_text())
    assert codes == ["0\n", "0\n"]
    assert (kept.read_bytes() == b"a week of training") is bool(options)
