"""The first batch of a training: each mistake is found, correct data are left alone, and nothing is touched."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from builders import make_input, make_profile
from keras_api import BACKEND, IS_KERAS_2, PyDataset, keras, tf
from trainings import are_equal, outcome

from kerasdiag import BottleneckProfiler, RunProfile
from kerasdiag.diagnosis import diagnose
from kerasdiag.first_batch import ModelFront
from kerasdiag.profiler.first_batch.look import MOST_IMAGES, look_at
from kerasdiag.profiler.first_batch.model_front import front_of

pytestmark = pytest.mark.keras

layers = keras.layers
SIDE = 16
CODES = (
    "nan-images", "constant-images", "rescaled-twice", "wrong-preprocessing", "not-rescaled", "not-preprocessed",
    "one-hot-labels", "integer-labels", "label-out-of-range", "one-class", "not-binary-labels", "augmented-validation",
)  # fmt: skip


def pixels(count=8, side=SIDE, channels=3):
    return np.random.default_rng(4).integers(0, 256, (count, side, side, channels)).astype("float32")


def classes(count=8):
    return np.arange(count).astype("int64") % 3


def make_model(*front, norm=False, outputs=3, loss="sparse_categorical_crossentropy", last="softmax"):
    keras.utils.set_random_seed(5)
    chain = [
        keras.Input((SIDE, SIDE, 3)),
        *front,
        layers.Conv2D(4, 3),
        *([layers.BatchNormalization()] if norm else []),
    ]
    model = keras.Sequential([*chain, layers.Flatten(), layers.Dense(outputs, activation=last)])
    model.compile("sgd", loss, jit_compile=False)
    return model


def findings_of(model, images, labels=None, front=None, weights=None, backend="tensorflow"):
    """Codes and findings for a batch that is not trained on."""
    batch = (images, classes(len(images)) if labels is None else labels, weights)
    first = look_at(batch, front or front_of(model))
    profile = make_profile(first_batch=first)
    profile = dataclasses.replace(profile, software={**profile.software, "backend": backend})
    profile = RunProfile.from_json(profile.to_json())
    assert profile.first_batch == first
    return {one.code: one for one in diagnose(profile).findings if one.code in CODES}


def as_if_trained(model, factor=1.0):
    """Weights that no fresh model has: as those of ImageNet, which no test can download."""
    for layer in model.layers[:12]:
        for name in ("moving_mean", "bias"):
            variable = getattr(layer, name, None)
            if variable is not None:
                variable.assign(np.full(tuple(variable.shape), 0.1 * factor, "float32"))
    return model


# --- In a fit -------------------------------------------------------------------------------------------------------


class Loader(PyDataset):
    """Batches as they are asked for."""

    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return len(self.images) // 8

    def __getitem__(self, index):
        part = slice(8 * index, 8 * index + 8)
        return self.images[part], classes()


@pytest.mark.backends
@pytest.mark.parametrize("kind", ["arrays", "loader", "tf-data"])
def test_a_fit_tells_of_its_first_batch(kind):
    """On every backend and from every input, and the profile keeps it."""
    images = pixels(24)
    data = {
        "arrays": lambda: {"x": images, "y": classes(24), "batch_size": 8, "shuffle": False},
        "loader": lambda: {"x": Loader(images), "shuffle": False},
        "tf-data": lambda: {"x": tf.data.Dataset.from_tensor_slices((images, classes(24))).batch(8)},
    }[kind]()
    profiler = BottleneckProfiler(report=None)
    make_model().fit(**data, verbose=0, callbacks=[profiler])
    facts = profiler.profile.first_batch
    assert "first_batch" not in profiler.profile.not_measured
    assert (facts.images.shape, facts.images.count) == ((8, SIDE, SIDE, 3), 8)
    assert (facts.images.low, facts.images.high) == (images[:8].min(), images[:8].max())
    assert facts.labels.high == 2
    assert facts.model.first == "Conv2D"
    finding = next(one for one in profiler.diagnosis.findings if one.code == "not-rescaled")
    assert "from 0 to 255" in finding.message
    assert finding.evidence[0].text.startswith("first 8 images of a batch of shape (8, 16, 16, 3), float32")


@pytest.mark.backends
@pytest.mark.parametrize("report", ["terminal", None])
def test_a_mistake_is_told_before_the_first_step(report, capsys):
    """Not when the training has ended; in a line on stderr, with what to do."""
    heard = []

    class Listens(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            heard.append(capsys.readouterr().err)

    model = make_model(layers.Rescaling(1 / 255))
    model.fit(Loader(pixels(24) / 255), verbose=0, callbacks=[BottleneckProfiler(report), Listens()])
    lines = [line for line in heard[0].splitlines() if line.startswith("[kerasdiag] The images of the first batch")]
    assert len(lines) == (report is not None)
    assert not lines or "Rescale once" in lines[0]
    assert "first batch" not in "".join(heard[1:])


@pytest.mark.backends
@pytest.mark.parametrize("executions", [1, 3])
def test_a_training_is_the_same_with_the_look(executions):
    """Losses, weights and counters are equal, bit for bit; each batch is pulled once."""
    how = {"steps_per_execution": executions} if BACKEND != "torch" else {}

    def run(callbacks):
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [keras.Input((SIDE, SIDE, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten(),
             layers.Dropout(0.3), layers.Dense(3)]
        )  # fmt: skip
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, jit_compile=BACKEND == "jax", **how)
        history = model.fit(
            pixels(48), classes(48), batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=callbacks
        )
        return outcome(model, history)

    plain = run([])
    assert are_equal(plain, run([]))
    profiler = BottleneckProfiler(report=None)
    assert are_equal(plain, run([profiler]))
    assert profiler.profile.first_batch.images is not None
    assert profiler.profile.steps.num_steps == 12


@pytest.mark.backends
def test_a_fault_of_the_look_is_said_and_breaks_nothing(monkeypatch):
    """The training goes on, and the rest is measured."""
    monkeypatch.setattr("kerasdiag.profiler.first_batch.look.look_at_images", lambda images: 1 / 0)
    profiler = BottleneckProfiler(report=None)
    make_model().fit(pixels(16), classes(16), batch_size=8, verbose=0, callbacks=[profiler])
    assert "ZeroDivisionError" in profiler.profile.not_measured["first_batch"]
    assert profiler.profile.first_batch is None
    assert profiler.profile.steps.num_steps == 2


@pytest.mark.backends
def test_the_time_of_the_look_is_nobodys(monkeypatch):
    """It is in no step, and the report counts it as the profiler's own."""

    def slow(batch, front):
        time.sleep(0.5)
        return look_at(batch, front)

    monkeypatch.setattr("kerasdiag.profiler.fit_measurement.look_at", slow)
    model = make_model()
    model.fit(pixels(8), classes(8), verbose=0)  # compiles
    profiler = BottleneckProfiler(report=None)
    model.run_eagerly = True  # tracing takes as long as the look
    model.fit(pixels(16), classes(16), batch_size=8, verbose=0, callbacks=[profiler])
    assert profiler.profile.verdicts_s >= 0.5
    assert max(profiler.profile.steps.period_s) < 0.45
    assert sum(profiler.profile.steps.wait_s) < 0.45


def test_the_look_takes_a_bounded_sample():
    """The first images only, in a few milliseconds; of huge ones at least one."""
    images = np.zeros((64, 8, 8, 3), "uint8")
    assert look_at((images, None), ModelFront()).images.count == MOST_IMAGES
    assert look_at((np.zeros((4, 2000, 2000, 3), "uint8"), None), ModelFront()).images.count == 1


@pytest.mark.parametrize(
    "inputs",
    [np.zeros((8, 5), "float32"), np.zeros((8, 7, 9, 16), "float32"), {"a": pixels(), "b": pixels()}, "text", None],
)
def test_what_is_no_image_is_passed_over(inputs):
    """Tables, feature maps, two images for one example."""
    assert look_at((inputs, classes()), ModelFront()).images is None


def test_images_beside_a_table_are_found():
    """Among named inputs, or several, the one that can be images."""
    for inputs in ({"table": np.zeros((8, 5)), "image": pixels()}, (pixels(), np.zeros((8, 5)))):
        assert look_at((inputs, classes()), ModelFront()).images.shape == (8, SIDE, SIDE, 3)


def test_half_precision_is_read():
    """bfloat16 is no type of NumPy's."""
    facts = look_at((tf.cast(pixels(), tf.bfloat16), None), ModelFront()).images
    assert (facts.dtype, facts.high) == ("bfloat16", 255.0)


# --- Images ---------------------------------------------------------------------------------------------------------


def test_correct_images_are_left_alone():
    """Divided once, in the data or in the model, whole or standardized, or normalized by the model."""
    assert not findings_of(make_model(), pixels() / 255)
    assert not findings_of(make_model(), pixels() / 127.5 - 1)
    assert not findings_of(make_model(), (pixels() - 127) / 60)
    assert not findings_of(make_model(layers.Rescaling(1 / 255)), pixels())
    assert not findings_of(make_model(layers.RandomFlip(), layers.Rescaling(1 / 127.5, -1)), pixels().astype("uint8"))
    assert not findings_of(make_model(norm=True), pixels())
    assert not findings_of(make_model(layers.Lambda(lambda x: x / 255)), pixels())


def test_pixels_in_a_plain_model_are_a_hint():
    """Nothing takes them down to 1."""
    finding = findings_of(make_model(), pixels())["not-rescaled"]
    assert str(finding.severity) == "info"
    assert finding.numbers == {"low": 0.0, "high": 255.0}


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (pixels() / 255 / 255, "0 to 0.003922"),
        (pixels() / 255 / 127.5 - 1, "-1 to -0.9922"),
        (pixels() / 255 - np.float32([103.939, 116.779, 123.68]), "-123.7 to -102.9"),
        ((pixels() / 255 / 255 - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225]), "-2.118 to"),
    ],
    ids=["by 255", "tf", "caffe", "torch"],
)
@pytest.mark.parametrize("norm", [False, True])
def test_images_that_were_rescaled_twice(images, words, norm):
    """Whatever the model, and the measured range is said."""
    finding = findings_of(make_model(norm=norm), images)["rescaled-twice"]
    assert words in finding.message


def spectrogram(channels=1, most=0.0036, count=8):
    """Powers: many small ones, and few up to ``most``."""
    return most * np.random.default_rng(2).random((count, SIDE, SIDE, channels), "float32") ** 4


@pytest.mark.parametrize(
    ("images", "is_found"),
    [
        (spectrogram(), False),
        (spectrogram(most=0.0028), False),
        (np.moveaxis(spectrogram(), 3, 1), False),
        (spectrogram(count=1)[:, :9, :9], False),  # few values have few levels
        (pixels(channels=1) / 255 / 255, True),
        (np.minimum(pixels(channels=1), 200) / 255 / 255, True),
        (spectrogram(most=1 / 255), True),  # no values of 8 bits any more, as augmentation leaves them; but a white
        (spectrogram(channels=3), True),
        (np.moveaxis(spectrogram(channels=3), 3, 1), True),
    ],
)
def test_a_single_channel_may_be_as_small_as_it_is(images, is_found):
    """A spectrogram is not what was divided twice by 255, of which values or the greatest one tell."""
    assert ("rescaled-twice" in findings_of(None, images, front=ModelFront())) is is_found


def test_dark_images_were_not_rescaled_twice():
    """Pixels of 0 and 1 look like it in their range, but not in how many values there are."""
    dark = (pixels() > 200).astype("float32")
    assert not findings_of(make_model(), dark / 255)
    assert not findings_of(make_model(), dark / 127.5 - 1)
    assert not findings_of(make_model(layers.Rescaling(1 / 255)), dark)


@pytest.mark.parametrize(
    ("front", "words"),
    [([1 / 255], "by 1/255 itself"), ([1 / 127.5, -1], "by 1/127.5 itself"), ([1 / 200], "by 0.005 ")],
)
def test_images_that_the_model_rescales_again(front, words):
    """Its Rescaling layer takes 0 to 255, wherever it lies before the first layer with weights."""
    model = make_model(keras.Sequential([layers.RandomFlip()]), layers.Rescaling(*front))
    for images in (pixels() / 255, pixels() / 127.5 - 1):
        finding = findings_of(model, images)["rescaled-twice"]
        assert str(finding.severity) == "warn"
        assert words in finding.message
    assert set(findings_of(as_if_trained(model), pixels() - 110)) == {"wrong-preprocessing"}


def test_a_functional_model_is_followed():
    """Through models in it; not past what is unknown or where the way parts."""
    inputs = keras.Input((SIDE, SIDE, 3))
    inner = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Rescaling(1 / 255), layers.Conv2D(4, 3)])
    outputs = layers.Dense(3)(layers.Flatten()(inner(layers.RandomFlip()(inputs))))
    assert front_of(keras.Model(inputs, outputs)).factor == pytest.approx(1 / 255)
    scaled = layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3)(inputs / 255.0)))
    assert front_of(keras.Model(inputs, scaled)).first is None
    both = layers.Add()([layers.Conv2D(4, 3)(inputs), layers.Conv2D(4, 3)(inputs)])
    assert front_of(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(both)))).first is None


class OwnModel(keras.Model):
    """Nobody knows what it does with its images."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(4, 3)

    def call(self, x):
        return self.conv(x / 255)


class OwnStep(keras.Sequential):
    """Prepares images as it trains."""

    def train_step(self, *arguments):
        return super().train_step(*arguments)


@pytest.mark.parametrize("make", [OwnModel, lambda: OwnStep([keras.Input((SIDE, SIDE, 3)), layers.Conv2D(4, 3)])])
def test_a_model_with_code_of_its_own_is_not_judged(make):
    """No false alarm where nothing is known."""
    assert front_of(make()).first is None
    assert not findings_of(make(), pixels())


def test_a_normalization_layer_tells_what_it_was_made_for():
    """Adapted to other images than it gets; silent with those, and where nobody adapted it."""
    normalization = layers.Normalization()
    normalization.adapt(pixels())
    model = make_model(normalization)
    assert not findings_of(model, pixels())
    assert "rescaled-twice" in findings_of(model, pixels() / 255)
    normalization = layers.Normalization()
    normalization.adapt(pixels() / 255)
    model = make_model(normalization)
    assert not findings_of(model, pixels() / 255)
    assert "not-rescaled" in findings_of(model, pixels())
    assert front_of(make_model(layers.Normalization())).deviation is None


def stars(count):
    """Pictures of the sky: noise around 1,000, and in each 64th one pixel that is far brighter."""
    images = np.random.default_rng(3).normal(1000, 10, (count, SIDE, SIDE, 1)).astype("float32")
    images[::64, 5, 5] = 47_000
    return images


def test_few_bright_pixels_are_no_other_scale():
    """The layer was adapted to these images: the range of a batch is great, its deviation is not."""
    normalization = layers.Normalization(axis=None)
    normalization.adapt(stars(256))
    model = keras.Sequential([keras.Input((SIDE, SIDE, 1)), normalization, layers.Conv2D(2, 3)])
    model.compile("sgd", "mse")
    deviation = front_of(model).deviation
    assert np.ptp(stars(8)) > 100 * deviation
    assert not findings_of(model, stars(8))
    finding = findings_of(model, 255 * stars(8))["not-rescaled"]
    assert f"vary by {deviation:.3g}; these vary by " in finding.message


def test_a_deviation_is_that_within_the_channels():
    """Bands of a satellite differ more than any of them varies; mean and deviation are among the evidence."""
    bands = np.random.default_rng(5).normal([0, 10_000, 500], 3, (8, SIDE, SIDE, 3)).astype("float32")
    for images in (bands, np.moveaxis(bands, 3, 1)):
        facts = look_at((images, None), ModelFront()).images
        assert (facts.mean, facts.deviation) == (pytest.approx(3500, abs=1), pytest.approx(3, rel=0.05))
    assert not findings_of(None, bands, front=ModelFront(first="Conv2D", deviation=3.0))
    evidence = findings_of(make_model(), pixels())["not-rescaled"].evidence[0].text
    assert evidence.endswith("from 0 to 255, mean 128.4, deviation 74.3")


@pytest.mark.parametrize("images", [np.full((2, 8, 8, 3), 1e200), np.full((2, 8, 8, 3), np.nan)])
def test_a_deviation_that_is_no_number_is_not_known(images):
    """The profile stays one that JSON can hold, and is silent."""
    images[0, 0] *= -1
    front = ModelFront(first="Conv2D", deviation=1.0)
    assert look_at((images, None), front).images.deviation is None
    assert "not-rescaled" not in findings_of(None, images, front=front)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_no_numbers(value):
    """One is enough; the range of the rest is said."""
    images = pixels() / 255
    images[3, 0, 0, 0] = value
    finding = findings_of(make_model(), images)["nan-images"]
    assert finding.message.startswith("1 of the first 8 images")
    assert "from 0 to 1" in finding.message
    assert "8 of" in findings_of(make_model(), np.full_like(images, value))["nan-images"].message


@pytest.mark.parametrize(
    ("front", "severity"),
    [
        ([], "error"),
        ([layers.RandomFlip()], "error"),
        ([layers.Rescaling(1 / 255), layers.BatchNormalization()], "error"),
        ([layers.LayerNormalization()], "error"),
        ([layers.Lambda(lambda x: tf.where(tf.math.is_nan(x), 0.0, x))], "info"),
    ],
)
def test_a_model_may_fill_what_is_no_number(front, severity):
    """As it does for pixels without data; one whose first layers are known to compute does not."""
    images = pixels() / 255
    images[:, 0] = np.nan
    finding = findings_of(make_model(*front), images)["nan-images"]
    assert str(finding.severity) == severity
    assert ("unless the model fills them, one such image" in finding.message) is (severity == "info")


def test_constant_images():
    """All are a warning, many a note, one of eight nothing."""
    images = pixels() / 255
    images[0] = 0
    assert not findings_of(make_model(), images)
    images[:4] = 0.5
    assert str(findings_of(make_model(), images)["constant-images"].severity) == "info"
    finding = findings_of(make_model(), np.zeros_like(images))["constant-images"]
    assert str(finding.severity) == "warn"
    assert "8 of the first 8" in finding.message


# --- Labels and validation ------------------------------------------------------------------------------------------

ONE_HOT = np.eye(3, dtype="float32")[classes()]
SPARSE, CATEGORICAL, BINARY = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"


@pytest.mark.parametrize(
    ("loss", "outputs", "labels", "code"),
    [
        (SPARSE, 3, classes(), None),
        (SPARSE, 3, classes()[:, None], None),
        (SPARSE, 3, classes().astype("float32"), None),
        (SPARSE, 3, ONE_HOT, "one-hot-labels"),
        (SPARSE, 3, classes() + 1, "label-out-of-range"),
        (SPARSE, 3, classes() - 1, "label-out-of-range"),
        (CATEGORICAL, 3, ONE_HOT, None),
        (CATEGORICAL, 3, 0.9 * ONE_HOT + 0.03, None),
        (CATEGORICAL, 3, classes(), "integer-labels"),
        (CATEGORICAL, 3, classes()[:, None], "integer-labels"),
        (CATEGORICAL, 1, classes()[:, None] % 2, "one-class"),
        (BINARY, 1, classes() % 2, None),
        (BINARY, 3, ONE_HOT, None),
        (BINARY, 1, 0.5 * (classes() % 2), None),
        (BINARY, 1, classes(), "not-binary-labels"),
        (BINARY, 1, 2 * (classes() % 2) - 1, "not-binary-labels"),
        ("mse", 3, classes(), None),
    ],
)
@pytest.mark.parametrize("as_object", [False, True])
def test_labels_that_do_not_fit_their_loss(loss, outputs, labels, code, as_object):
    """Named by loss and kind of label; the loss may be a name or an object."""
    made = keras.losses.get(loss)
    if as_object and loss != "mse":
        made = getattr(keras.losses, "".join(part.title() for part in loss.split("_")))()
    model = make_model(outputs=outputs, loss=made if as_object else loss)
    assert set(findings_of(model, pixels() / 255, labels)) == ({code} if code else set())


@pytest.mark.parametrize(
    ("high", "low", "shown"),
    [
        (1.0000001, 0, None),  # what resizing a mask of 255 and dividing it leaves
        (1.0009, -0.0009, None),
        (1.0011, 0, "0 to 1.0011"),
        (1, -0.0011, "-0.0011 to 1"),
        (255, 0, "0 to 255"),
    ],
)
def test_a_rounding_is_no_other_label(high, low, shown):
    """And no message says that 0 to 1 is not within 0 to 1."""
    labels = np.where(classes() > 0, high, low)[:, None].astype("float32")
    found = findings_of(make_model(outputs=1, loss=BINARY), pixels() / 255, labels)
    assert set(found) == ({"not-binary-labels"} if shown else set())
    assert not shown or f"(shape (8, 1), {shown}) are not within 0 to 1" in found["not-binary-labels"].message


MISSING = classes() == 0


@pytest.mark.parametrize(
    ("labels", "weights", "is_found"),
    [
        (np.where(MISSING, -1, 1), 1.0 * ~MISSING, False),
        (np.where(MISSING, -1, 1)[:, None], 1.0 * ~MISSING, False),
        (np.where(MISSING, -1, 1), 1.0 * ~MISSING[:, None], False),
        (np.where(MISSING, -1, 1)[:, None], 0.5 * ~MISSING[:, None], False),
        (np.where(MISSING, 255, 1)[:, None, None] * np.ones((1, 4, 4)), 1.0 * ~MISSING, False),
        (np.where(MISSING, -1, 1), tf.constant(1.0 * ~MISSING), False),
        (np.where(MISSING, -1, 1), np.ones(8), True),
        (np.where(MISSING, -1, 1), 1.0 * MISSING, True),
        (np.where(MISSING, -1, 2), 1.0 * ~MISSING, True),
        (np.where(MISSING, -1, 2)[:, None], 1.0 * ~MISSING, True),
        (np.where(MISSING, -1, 2), 1.0 * ~MISSING[:, None], True),
        (np.where(MISSING, -1, 1), np.zeros(8), False),
        (np.where(MISSING, -1, 1), np.zeros((8, 2)), False),  # nobody knows whose weights these are
        (np.where(MISSING, -1, 1), np.float32(2), True),
        (np.where(MISSING, -1, 1), {"out": 1.0 * ~MISSING}, True),
    ],
)
def test_a_label_without_weight_is_none(labels, weights, is_found):
    """-1 for a missing label, with a sample weight of 0: the loss does not feel it."""
    found = findings_of(make_model(outputs=1, loss=BINARY), pixels() / 255, labels.astype("float32"), weights=weights)
    assert set(found) == ({"not-binary-labels"} if is_found else set())
    if is_found and labels.max() == 2:
        assert f"(shape {labels.shape}, 2 to 2)" in found["not-binary-labels"].message


@pytest.mark.parametrize("void", [-1, 255])
@pytest.mark.parametrize(
    ("backend", "weights", "is_found"),
    [
        ("tensorflow", None, True),
        ("tensorflow", 1.0 * ~MISSING, True),
        ("torch", 1.0 * ~MISSING, True),
        ("jax", 1.0 * ~MISSING, False),
        ("jax", 1.0 * MISSING, True),
    ],
)
def test_a_class_that_does_not_exist_is_nan_whatever_its_weight(void, backend, weights, is_found):
    """Or an error; but for JAX. The remedy is another one then."""
    labels = np.where(MISSING, void, 1)
    found = findings_of(make_model(), pixels() / 255, labels, weights=weights, backend=backend)
    assert set(found) == ({"label-out-of-range"} if is_found else set())
    if is_found:
        is_without_weight = weights is not None and backend != "jax"
        finding = found["label-out-of-range"]
        assert ("weight of 0 does not help" in finding.message) is is_without_weight
        assert ("put the number of any class" in finding.remedy.text) is is_without_weight


@pytest.mark.parametrize("void", [1, -1])
def test_a_weight_of_0_takes_a_label_out_of_one_loss_and_not_out_of_the_other(void):
    """What the two tests before rest on, by Keras itself: NaN of XLA, as of a GPU, stays NaN."""

    def weights_of(loss, outputs, activation, compiled):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((4,)), layers.Dense(outputs, activation=activation)])
        model.compile("sgd", loss, jit_compile=compiled)
        labels = np.where(MISSING, void, 1).astype("float32" if outputs == 1 else "int64")
        model.fit(np.ones((8, 4), "float32"), labels, sample_weight=1.0 * ~MISSING, verbose=0)
        return model.get_weights()

    assert np.isfinite(np.concatenate([one.ravel() for one in weights_of(BINARY, 1, "sigmoid", False)])).all()
    has_nan = np.isnan(np.concatenate([one.ravel() for one in weights_of(SPARSE, 3, "softmax", True)])).any()
    assert has_nan is np.bool_(void == -1)


@pytest.mark.backends
def test_a_fit_tells_of_its_weights():
    """They are the third part of a batch, on every backend."""
    profiler = BottleneckProfiler(report=None)
    labels = np.where(MISSING, -1, 1).astype("float32")[:, None]
    loss = keras.losses.BinaryCrossentropy(from_logits=True)  # torch checks what a sigmoid gives
    model = make_model(outputs=1, loss=loss, last=None)
    model.fit(pixels() / 255, labels, sample_weight=1.0 * ~MISSING, verbose=0, callbacks=[profiler])
    facts = profiler.profile.first_batch.labels
    assert (facts.low, facts.high, facts.low_weighted, facts.high_weighted) == (-1, 1, 1, 1)
    assert not [one for one in profiler.diagnosis.findings if one.code in CODES]


@pytest.mark.skipif(
    BACKEND != "tensorflow",
    reason="is of Keras 3 only, on JAX and torch: Keras tries the loss before any callback runs",
)
def test_labels_that_break_the_step_are_told_beside_keras_own_error():
    """fit ends before its first step, where the loss is traced with them."""
    profiler = BottleneckProfiler(report=None)
    model = make_model(outputs=3, loss=SPARSE)
    with pytest.raises(Exception, match=r"(?i)rank|shape|dimension|logits"):
        model.fit(pixels() / 255, np.eye(3, dtype="float32")[classes()], verbose=0, callbacks=[profiler])
    assert "one-hot-labels" in [one.code for one in profiler.diagnosis.findings]
    assert profiler.profile.state == "interrupted"


def test_segmentation_is_judged_by_its_last_axis():
    """A number for each pixel, or a row for each pixel."""
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Conv2D(3, 1, activation="softmax")])
    model.compile("sgd", SPARSE, jit_compile=False)
    numbers = np.random.default_rng(1).integers(0, 3, (8, SIDE, SIDE))
    images = pixels() / 255
    assert not findings_of(model, images, numbers)
    assert not findings_of(model, images, numbers[..., None])
    assert set(findings_of(model, images, np.eye(3)[numbers])) == {"one-hot-labels"}


def test_a_loss_that_passes_over_a_class_or_is_somebodys_own_is_not_judged():
    """255 as the mark of an ignored pixel; a function of the same name."""

    def sparse_categorical_crossentropy(y_true, y_pred):
        return keras.losses.categorical_crossentropy(y_true, y_pred)

    assert front_of(make_model(loss=sparse_categorical_crossentropy)).loss is None
    try:
        loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=255)
    except TypeError:
        pytest.skip("is of Keras 3 only, and of 2.12 and later")
    assert front_of(make_model(loss=loss)).loss is None


@pytest.mark.backends
def test_augmented_validation_is_named():
    """What draws at random is; rescaling and preprocessing are not."""

    def codes(**options):
        generator = keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255, **options)
        profiler = BottleneckProfiler(report=None)
        flow = generator.flow(pixels(), classes(), batch_size=8)
        make_model().fit(
            pixels() / 255, classes(), validation_data=flow, validation_steps=1, verbose=0, callbacks=[profiler]
        )
        return {one.code: one for one in profiler.diagnosis.findings if one.code in CODES}

    found = codes(rotation_range=20, horizontal_flip=True)
    assert "(rotation_range, horizontal_flip)" in found["augmented-validation"].message
    assert not codes(samplewise_center=True)


def test_augmentation_of_the_training_data_is_no_finding():
    """That is what it is for."""
    data = make_input(augmentation=("rotation_range",))
    profile = make_profile(training_input=data, validation_input=make_input(augmentation=("rescale",)))
    assert not [one for one in diagnose(profile).findings if one.code in CODES]
    profile = dataclasses.replace(profile, validation_input=data)
    assert [one.code for one in diagnose(profile).findings if one.code in CODES] == ["augmented-validation"]


# --- keras.applications ---------------------------------------------------------------------------------------------

# Smallest model of a family, module of its preprocess_input, scale.
FAMILIES = [
    ("MobileNetV2", "mobilenet_v2", "tf"),
    ("VGG16", "vgg16", "caffe"),
    ("EfficientNetB0", "efficientnet", "pixels"),
    ("VGG19", "vgg19", "caffe"),
    ("ResNet50", "resnet", "caffe"),
    ("ResNet101", "resnet", "caffe"),
    ("ResNet50V2", "resnet_v2", "tf"),
    ("InceptionV3", "inception_v3", "tf"),
    ("InceptionResNetV2", "inception_resnet_v2", "tf"),
    ("Xception", "xception", "tf"),
    ("MobileNet", "mobilenet", "tf"),
    ("NASNetMobile", "nasnet", "tf"),
    ("DenseNet121", "densenet", "torch"),
    ("MobileNetV3Small", "mobilenet_v3", "pixels"),
    ("MobileNetV3Large", "mobilenet_v3", "pixels"),
    ("EfficientNetV2B0", "efficientnet_v2", "pixels"),
    ("EfficientNetV2S", "efficientnet_v2", "pixels"),
    ("ConvNeXtTiny", "convnext", "pixels"),
    ("RegNetX002", "regnet", "pixels"),
    ("RegNetY002", "regnet", "pixels"),
    ("ResNetRS50", "resnet_rs", "pixels"),
]
QUICK = 3
APPLICATION_SIDE = 75


@pytest.mark.parametrize("nested", [True, False], ids=["base", "flat"])
@pytest.mark.parametrize(
    ("name", "module", "scale"),
    [pytest.param(*row, marks=[] if number < QUICK else pytest.mark.thorough) for number, row in enumerate(FAMILIES)],
    ids=[row[0] for row in FAMILIES],
)
def test_no_application_gives_a_false_alarm_and_each_its_own_finding(name, module, scale, nested):
    """Correct images are silent, with fresh weights and with others; mistakes are found."""
    build = getattr(keras.applications, name, None)
    if build is None:
        pytest.skip("is of Keras 2 only" if not IS_KERAS_2 else "is of Keras 3 only, or of 2.11 and later")
    preprocess = getattr(keras.applications, module).preprocess_input
    shape = (APPLICATION_SIDE, APPLICATION_SIDE, 3)
    base = build(weights=None, include_top=False, input_shape=shape)
    if nested:
        chain = [keras.Input(shape), layers.RandomFlip(), base, layers.GlobalAveragePooling2D(), layers.Dense(3)]
        model = keras.Sequential(chain)
    else:
        model = keras.Model(base.input, layers.Dense(3)(layers.GlobalAveragePooling2D()(base.output)))
    model.compile("sgd", SPARSE)
    raw = pixels(4, APPLICATION_SIDE)
    fresh, trained = front_of(model), dataclasses.replace(front_of(model), is_trained=True)
    assert fresh.first is not None
    assert not fresh.is_trained
    for front in (fresh, trained):
        assert not findings_of(model, preprocess(raw.copy()), front=front)
        if scale == "pixels":
            assert not findings_of(model, raw.astype("uint8"), front=front)
            assert set(findings_of(model, raw / 255, front=front)) == {"rescaled-twice"}
            assert set(findings_of(model, raw / 127.5 - 1, front=front)) == {"rescaled-twice"}
        else:
            assert set(findings_of(model, preprocess(raw / 255), front=front)) == {"rescaled-twice"}
    if scale != "pixels":
        assert trained.module in (module, "vgg16")
        assert set(findings_of(model, raw, front=trained)) == {"not-preprocessed"}
        assert set(findings_of(model, raw / 255, front=trained)) == {"not-preprocessed"}
        assert not findings_of(model, raw / 255, front=fresh)  # a training from the beginning learns on any scale
        assert set(findings_of(model, raw, front=fresh)) == (set() if scale == "caffe" else {"not-preprocessed"})


@pytest.mark.parametrize(("is_trained", "severity"), [(True, "warn"), (False, "info")])
def test_nobody_knows_whose_weights_they_are(is_trained, severity):
    """A ResNet50V2 of one's own on 0 to 1, loaded and trained on, is no error; what ImageNet's need is said."""
    front = ModelFront("resnet_v2", first="Conv2D", is_trained=is_trained)
    finding = findings_of(None, pixels(), front=front)["not-preprocessed"]
    assert str(finding.severity) == severity
    assert ("expects -1 to 1, if its weights are ImageNet's." in finding.message) is is_trained
    assert ("training of your own" in finding.remedy.text) is is_trained


def test_weights_of_a_training_are_told_from_fresh_ones():
    """And from those that began fresh in this process, whatever was trained since, or go on with a training."""

    def build():
        base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
        model = keras.Sequential([keras.Input((32, 32, 3)), base, layers.Flatten(), layers.Dense(3)])
        model.compile("sgd", SPARSE, jit_compile=False)
        return model, base

    model, base = build()
    assert front_of(as_if_trained(base) and model).is_trained
    model.optimizer.iterations.assign(7)
    assert not front_of(model).is_trained
    model, base = build()
    assert not front_of(model).is_trained
    as_if_trained(base)
    assert not front_of(model).is_trained
