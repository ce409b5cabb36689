"""What to type next: one row of the table, one test; nothing named that would refuse the input."""

from __future__ import annotations

import dataclasses

import pytest
from builders import make_epochs, make_input, make_profile, make_steps

from kerasdiag.diagnosis import INPUT_BOUND_FRACTION, diagnose
from kerasdiag.environment.window import MachineWindow
from kerasdiag.next_step import NEXT_STEPS, REPAIR_FACTOR, advise_callbacks, time_of
from kerasdiag.profile import RunProfile
from kerasdiag.stage_timing import InputStages, StageTime
from kerasdiag.step_times import CallbackTime

KERAS_2 = {"python": "3.9.18", "backend": "tensorflow", "keras": "2.10.0", "tensorflow": "2.10.1"}
TF_KERAS = {"python": "3.12.1", "backend": "tensorflow", "tf_keras": "2.21.0", "tensorflow": "2.21.0"}


def advice(data, wait_s=0.1, step_s=0.05, **facts):
    remedy = diagnose(make_profile(wait_s, step_s, training_input=data, **facts)).next_step
    return remedy.text + "\n" + "\n".join(remedy.code)


# A subclass of an iterator is what autofix may not take.
WITH_WORKERS = {
    "py-dataset": make_input("py-dataset"),
    "a subclass": make_input(class_name="MyIterator"),
}


@pytest.mark.parametrize("class_name", ["DataFrameIterator", "DirectoryIterator", "NumpyArrayIterator"])
def test_iterator_gets_autofix(class_name):
    """The repair is what this verdict is for."""
    text = advice(make_input(class_name=class_name))
    assert "train_data = autofix(train_data, profiler)" in text
    assert "workers =" not in text


@pytest.mark.parametrize("data", [make_input(), make_input("py-dataset")], ids=["autofix", "workers"])
@pytest.mark.parametrize("software", [KERAS_2, TF_KERAS], ids=["keras 2", "tf_keras"])
def test_script_without_a_profiler_gets_no_line_with_one(data, software):
    """Under kerasdiag run there is no such name in the script; autofix finds the profile by itself."""
    assert "profiler" in advice(data, software=software).split("\n", 1)[1]
    text = advice(data, software=software, attached=True)
    assert "profiler" not in text
    assert "autofix(train_data)" in text or "model.fit(train_data, workers=3)" in text


def test_small_wait_gets_workers():
    """Below a fifth autofix keeps the generator, so it is not named."""
    text = advice(make_input(), wait_s=0.01)
    assert "train_data.workers = 2" in text
    assert "autofix" not in text


@pytest.mark.parametrize("data", WITH_WORKERS.values(), ids=WITH_WORKERS)
def test_indexed_loader_gets_workers_on_keras_3(data):
    """Keras 3 takes workers only as an attribute; three times slower batches want three workers."""
    assert "train_data.workers = 3" in advice(data)


@pytest.mark.parametrize("software", [KERAS_2, TF_KERAS], ids=["keras 2", "tf_keras"])
@pytest.mark.parametrize("data", WITH_WORKERS.values(), ids=WITH_WORKERS)
def test_indexed_loader_gets_workers_on_keras_2(data, software):
    """Keras 2 takes workers in fit, and ignores the attribute."""
    text = advice(data, software=software)
    assert "model.fit(train_data, workers=3" in text
    assert "train_data.workers" not in text


def test_workers_do_not_exceed_the_cores():
    """Sixteen-fold demand on eight cores is eight workers, and the rest of the wait is not hidden."""
    text = advice(make_input("py-dataset"), wait_s=0.75)
    assert "train_data.workers = 8" in text
    assert "16.0 times as fast, so part of the wait will stay" in text
    assert "will stay" not in advice(make_input("py-dataset"))


def test_workers_have_a_limit_of_their_own():
    """No machine gains from hundreds of threads."""
    assert "train_data.workers = 16" in advice(make_input("py-dataset"), wait_s=50, cores=512)


def test_workers_that_use_all_cores_are_not_raised():
    """More threads than cores only make each slower: then it is less work per batch."""
    text = advice(make_input("py-dataset", workers=8))
    assert "8 workers on 8 cores" in text
    assert "mostly waits, for a network say, takes more" in text
    assert "workers =" not in text


@pytest.mark.parametrize(
    ("storage", "remedy"),
    [("none", 'storage="disk"'), ("disk", "nothing says that the disk is slow"), ("memory", "its images in memory")],
)
def test_our_own_dataset_is_never_told_to_cache(storage, remedy):
    """That would keep the first epoch's augmentation for ever; there is a larger repair, or none."""
    text = advice(make_input("tf-data", repaired=storage))
    assert remedy in text
    assert "cache()" not in text


READING = InputStages("image", "sampled rows", (StageTime("reading", 0.01, 0.001), StageTime("affine", 0.001)), 64)
MAPPING = InputStages("batch", "tf.data model", (StageTime("ParallelMapV2", 0.01, None, 8),), 30)


@pytest.mark.parametrize(
    ("stages", "io", "is_advised"),
    [(READING, None, True), (MAPPING, 0.3, True), (MAPPING, 0.05, False), (MAPPING, None, False), (None, None, False)],
)
def test_memory_is_advised_only_where_the_disk_is_slow(stages, io, is_advised):
    """Elsewhere the images would come from memory and be augmented as slowly."""
    machine = MachineWindow(10.0, stalled_fractions={} if io is None else {"io": io})
    text = advice(make_input("tf-data", repaired="disk"), input_stages=stages, machine=machine)
    assert ('storage="memory"' in text) is is_advised
    assert ("less augmentation" in text) is not is_advised


def test_sequential_map_is_named():
    """A map without num_parallel_calls is the first thing to mend."""
    assert "num_parallel_calls" in advice(make_input("tf-data", pipeline=("TensorSlice", "Map", "Batch", "Prefetch")))


def test_generator_inside_tf_data_is_named():
    """Neither prefetch nor a parallel map helps a Python generator at the source."""
    assert "Python generator" in advice(make_input("tf-data", pipeline=("Tensor", "FlatMap", "Prefetch")))


def test_files_read_one_after_the_other_are_named():
    """flat_map over files is not a Python generator, and can be read in parallel."""
    for operation in ("FlatMap", "Interleave"):
        text = advice(make_input("tf-data", pipeline=("TensorSlice", operation, "Batch", "Prefetch")))
        assert "interleave(open_file, num_parallel_calls" in text


def test_cached_pipeline_is_not_told_to_cache():
    """What is there already is not advised."""
    text = advice(make_input("tf-data", pipeline=("TensorSlice", "ParallelMap", "Cache", "Batch", "Prefetch")))
    assert "dataset.cache()" not in text
    assert "caches already" in text


@pytest.mark.parametrize("operation", ["Unbatch", "Window", "Zip"])
def test_operations_of_tf_data_itself_are_not_blamed(operation):
    """unbatch() contains a map and window() needs flat_map: neither is the user's mistake."""
    text = advice(make_input("tf-data", pipeline=("TensorSlice", "Map", operation, "FlatMap", "Prefetch")))
    assert "one core" not in text
    assert "one after the other" not in text


def test_generator_is_blamed_before_the_map_behind_it():
    """A parallel map does not help behind a slow Python generator."""
    assert "Python generator" in advice(make_input("tf-data", pipeline=("Tensor", "FlatMap", "Map", "Prefetch")))


def test_missing_prefetch_is_named():
    """Without it the model waits while the batch is made, however parallel the maps are."""
    text = advice(make_input("tf-data", pipeline=("TensorSlice", "ParallelMap", "Batch")))
    assert ".prefetch(tf.data.AUTOTUNE)" in text


def test_parallel_pipeline_with_prefetch_gets_cache():
    """When nothing is missing, the work has to be done once."""
    text = advice(make_input("tf-data"))
    assert "cache()" in text
    assert "prefetch(" not in text


def test_python_generator_gets_an_index():
    """A generator cannot be split; no number of workers is suggested for it."""
    text = advice(make_input("python-generator"))
    assert "keras.utils.PyDataset" in text
    assert "workers =" not in text
    assert "keras.utils.Sequence" in advice(make_input("python-generator"), software=KERAS_2)


def test_arrays_get_their_own_text():
    """Arrays are sliced by tf.data already."""
    assert "from_tensor_slices" in advice(make_input("arrays", n=1000, batch_size=32))


def test_unknown_input_is_named_by_its_class():
    """Whatever else Keras accepts is called by its name."""
    assert "DataLoader" in advice(make_input("other"))


def test_every_kind_of_the_table_is_tested_here():
    """A new row needs a test of its own."""
    assert set(NEXT_STEPS) == {"image-data-generator", "py-dataset", "tf-data", "python-generator", "arrays"}


SHORT = {"n": 600, "num_batches": 19}


@pytest.mark.parametrize(
    ("facts", "epochs"),
    [
        ({"planned_steps_per_epoch": 30, "has_steps_per_epoch": True}, 2),  # it ended at 19
        ({"planned_steps_per_epoch": None, "has_steps_per_epoch": False}, 2),  # so long is an epoch
        ({"planned_steps_per_epoch": None, "has_steps_per_epoch": False, "stopped_early": True}, None),
        ({"planned_steps_per_epoch": 19, "has_steps_per_epoch": True, "training_input": make_input(**SHORT)}, 2),
        ({"planned_steps_per_epoch": 19, "has_steps_per_epoch": True}, None),  # 57 batches hold 30 steps
        ({"planned_steps_per_epoch": 19, "has_steps_per_epoch": True, "training_input": make_input("arrays")}, None),
        ({"planned_steps_per_epoch": 4, "training_input": make_input("arrays", n=100, batch_size=32)}, 8),
        ({"state": "running", "planned_steps_per_epoch": 57}, None),
        ({"state": "interrupted", "training_input": make_input(**SHORT)}, 2),
    ],
)
def test_a_short_input_needs_more_epochs(facts, epochs):
    """No steps_per_epoch makes batches of an input that has none left."""
    steps = facts["planned_steps_per_epoch"] if facts.get("planned_steps_per_epoch") == 4 else 19
    text = advice(facts.pop("training_input", make_input()), count=steps, **facts)
    if epochs is None:
        assert "steps_per_epoch=30 is enough" in text
    else:
        assert f"epochs={epochs}, callbacks=[profiler])" in text
        assert "is enough" not in text
        assert ("without steps_per_epoch" in text) is (facts.get("has_steps_per_epoch") is True)


def test_a_generator_that_ended_has_no_second_pass():
    """More epochs would find nothing in it."""
    text = advice(make_input("python-generator"), count=19, planned_steps_per_epoch=30, has_steps_per_epoch=True)
    assert "Give fit one that goes on" in text
    assert "epochs=" not in text


def test_epochs_that_were_not_enough_are_not_advised_again():
    """Steps that trace do not count, so that two epochs of 19 may not be enough."""
    steps = make_steps(0.1, count=38, epochs=2, warm_up=20)
    profile = make_profile(training_input=make_input(**SHORT), planned_steps_per_epoch=19)
    profile = dataclasses.replace(profile, steps=steps, epochs=make_epochs(steps))
    assert diagnose(profile).next_step.code == ("model.fit(train_data, epochs=3, callbacks=[profiler])",)


def test_a_training_that_goes_on_for_long_enough_is_left_alone():
    """The second of its epochs brings the verdict."""
    text = advice(make_input(**SHORT), count=19, state="running", planned_epochs=2)
    assert text.startswith("Train on")
    assert "epoch" not in text


def test_who_switched_the_profiler_off_is_not_told_to_train_on():
    """However long, nothing would be measured."""
    disabled = RunProfile(not_measured={"data_wait": "KERASDIAG_DISABLE is set"})
    assert diagnose(disabled).next_step is None
    assert "Train on" in diagnose(RunProfile()).next_step.text


def test_compute_bound_is_left_alone():
    """Nobody is sent to optimise what does not wait."""
    assert "Leave the input pipeline" in advice(make_input(), wait_s=0.0)


@pytest.mark.parametrize(
    ("several", "advised", "how_many"), [(None, 16, "several"), (4, 16, "more"), (8, 32, "more"), (32, 57, "more")]
)
def test_short_steps_are_to_be_started_together(several, advised, how_many):
    """Where they already are, more of them."""
    text = advice(make_input(), wait_s=0.0, step_s=0.001, launch_s=0.0005, steps_per_execution=several)
    assert f"steps_per_execution={advised}," in text
    assert f"start {how_many} steps at once" in text


def test_no_more_steps_are_started_together_than_an_epoch_has():
    """The epoch has 57."""
    text = advice(make_input(), wait_s=0.0, step_s=0.001, launch_s=0.0005, steps_per_execution=57)
    assert "larger batches" in text
    assert "steps_per_execution" not in text


def callbacks_of(*callbacks, between_s=(0.5, 0.5), state="completed"):
    """A run of two epochs in which callbacks took two thirds of the time; ``between_s`` are those after their steps."""
    profile = make_profile(0.0, 0.02, 100, epochs=2, callbacks_s=0.04, callbacks=callbacks, state=state)
    return dataclasses.replace(profile, epochs=make_epochs(profile.steps, 1.0, callbacks_s=between_s))


BETWEEN_EPOCHS = ("ModelCheckpoint", "BackupAndRestore", "TensorBoard", "ProgbarLogger")


@pytest.mark.parametrize("name", [*BETWEEN_EPOCHS, "Plot"])
def test_advice_for_a_callback_is_about_the_hooks_that_take_its_time(name):
    """Who works once per epoch is not told to work once per epoch."""
    often = advise_callbacks(callbacks_of(CallbackTime(name, 4.0, 1.0)))
    seldom = advise_callbacks(callbacks_of(CallbackTime(name, 0.001, 1.0)))
    assert often != seldom
    for words in ("once per epoch at most", "or once per epoch", 'freq="epoch"', "verbose=2"):
        assert words not in " ".join((seldom.text, *seldom.code))
    assert any(
        words in " ".join((often.text, *often.code)) for words in ('freq="epoch"', "verbose=2", "or once per epoch")
    )


def test_advice_for_a_checkpoint_once_per_epoch():
    """save_best_only and save_freq="epoch" may be there already, as they are for most."""
    remedy = advise_callbacks(callbacks_of(CallbackTime("ModelCheckpoint", 0.0006, 0.29, keeps_model=True)))
    assert "If it writes the whole model, write its weights only; else write in every n-th epoch" in remedy.text
    assert remedy.code == ('ModelCheckpoint("model.weights.h5", save_weights_only=True)',)


def test_advice_for_a_checkpoint_writes_one_without_validation():
    """The better model is the one of less val_loss: Keras 2 writes none where there is no such thing."""
    often = callbacks_of(CallbackTime("ModelCheckpoint", 4.0, 1.0, keeps_model=True))
    assert advise_callbacks(often).code == ('ModelCheckpoint(path, save_freq="epoch")',)
    validated = dataclasses.replace(often, validation_input=make_input())
    assert advise_callbacks(validated).code == ('ModelCheckpoint(path, save_freq="epoch", save_best_only=True)',)
    epochs = make_epochs(often.steps, 1.0, validation_s=(0.1, 0.1))
    assert advise_callbacks(dataclasses.replace(often, epochs=epochs)) == advise_callbacks(validated)


def test_advice_for_tensorboard_helps_one_with_its_defaults():
    """Beside short steps its hooks cost, whatever it writes."""
    remedy = advise_callbacks(callbacks_of(CallbackTime("TensorBoard", 4.0, 1.0)))
    assert "Where it does that already" in remedy.text
    assert remedy.code[1] == "model.compile(..., steps_per_execution=16)"
    torch = dataclasses.replace(callbacks_of(CallbackTime("TensorBoard", 4.0, 1.0)), software={"backend": "torch"})
    assert len(advise_callbacks(torch).code) == 1  # starts every step by itself


def test_arrays_keep_their_batch_size():
    """Another one is another training."""
    assert ".batch(256)" in advice(make_input("arrays", batch_size=256))
    assert ".batch(batch_size)" in advice(make_input("arrays"))


def test_a_callback_of_ones_own_has_its_time_said():
    """All of it: in steps and between them."""
    text = advise_callbacks(callbacks_of(CallbackTime("Report", 0.1, 0.9))).text
    assert text.startswith(
        "Report took 1.0 s in 2 epochs, most of it outside of the steps: let it do its work every n-th"
    )
    assert "batch" not in text


@pytest.mark.parametrize(
    ("between_s", "facts", "is_at_end"),
    [
        ((0.0001, 0.052), {}, True),
        ((0.02, 0.052), {}, False),
        ((0.0, 0.052), {"state": "interrupted"}, False),  # the last epoch is one that went on
    ],
)
def test_work_at_the_end_of_a_training_is_paid_once(between_s, facts, is_at_end):
    """Nobody is told to do seldom what is done once."""
    callback = CallbackTime("Snap", 0.0001, 0.052)
    text = advise_callbacks(callbacks_of(callback, between_s=between_s, **facts)).text
    assert ("Snap took 52 ms after the last step of the training (in on_train_end" in text) is is_at_end
    assert ("Nothing needs to change" in text) is is_at_end
    assert ("every n-th epoch" in text) is not is_at_end


def test_one_epoch_does_not_tell_its_end_from_that_of_the_training():
    """on_epoch_end and on_train_end come one after the other then."""
    profile = make_profile(0.0, 0.02, 100, callbacks=(CallbackTime("Snap", 0.0, 0.052),))
    profile = dataclasses.replace(profile, epochs=make_epochs(profile.steps, 1.0, callbacks_s=(0.052,)))
    assert advise_callbacks(profile).text.startswith("Snap took 52 ms in 1 epoch, most of it")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.00023, "0.23 ms"), (0.0068, "6.8 ms"), (0.25, "250 ms"), (1.25, "1.2 s"), (4711, "4711.0 s")],
)
def test_no_time_of_a_callback_is_nothing(seconds, words):
    """0.0 s tell nobody anything."""
    assert time_of(CallbackTime("Snap", seconds / 2, seconds / 2)) == words


def test_autofix_is_named_only_where_it_takes_the_input():
    """A tf.data.Dataset, arrays and user code are not sent to it."""
    for kind in (*NEXT_STEPS, "other"):
        assert ("autofix" in advice(make_input(kind))) == (kind == "image-data-generator")


def test_autofix_is_named_where_it_repairs_by_itself():
    """The wait from which it is named is that of an input-bound verdict."""
    assert pytest.approx(1 / (1 - INPUT_BOUND_FRACTION)) == REPAIR_FACTOR


def test_code_fits_the_panel():
    """A line to copy is not broken in two at 80 columns."""
    for kind in (*NEXT_STEPS, "other"):
        for pipeline in ((), ("Range", "Map"), ("Tensor", "FlatMap"), ("Range", "FlatMap"), ("Range", "Batch")):
            for wait_s in (0.0, 0.1):
                data = make_input(kind, **({"pipeline": pipeline} if kind == "tf-data" else {}))
                remedy = diagnose(make_profile(wait_s, training_input=data)).next_step
                assert all(len(line) <= 72 for line in remedy.code), remedy
    for name in BETWEEN_EPOCHS:
        for times in ((1.0, 0.0), (0.0, 1.0)):
            remedy = advise_callbacks(callbacks_of(CallbackTime(name, *times)))
            assert all(len(line) <= 72 for line in remedy.code), remedy
