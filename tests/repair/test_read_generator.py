"""Reading a live generator: every option, what user code changed, and what is no generator at all."""

from __future__ import annotations

import numpy as np
import pytest
from keras_api import PyDataset, tf
from repair.generators import ImageDataGenerator, make_generator, write_images

from kerasdiag.errors import NotAGeneratorError, UnsupportedOptionError
from kerasdiag.repair.plans.supported import check_supported
from kerasdiag.repair.read_generator import read_spec

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return write_images(folder, 12), folder


def test_every_option_is_read(images):
    """Options of the iterator and of the ImageDataGenerator under Keras' names."""
    frame, folder = images
    options = {
        "rotation_range": 12,
        "width_shift_range": [1, 2],
        "height_shift_range": 0.1,
        "shear_range": 0.3,
        "zoom_range": 0.25,
        "horizontal_flip": True,
        "vertical_flip": True,
        "rescale": 0.5,
        "fill_mode": "nearest",
        "cval": 3.0,
        "interpolation_order": 0,
        "validation_split": 0.25,
    }
    generator = make_generator(
        frame, folder, options=options, subset="training", shuffle=False, seed=8, batch_size=5, class_mode="sparse",
        weight_col="weight", color_mode="grayscale", interpolation="lanczos", target_size=(20, 30),
    )  # fmt: skip
    spec = read_spec(generator)
    assert (spec.kind, spec.class_mode, spec.subset, spec.seed) == ("DataFrameIterator", "sparse", "training", 8)
    assert (spec.batch_size, spec.shuffle, spec.dtype, spec.data_format) == (5, False, "float32", "channels_last")
    loader = spec.loader
    assert (loader.color_mode, loader.target_size, loader.interpolation) == ("grayscale", (20, 30), "lanczos")
    assert spec.num_rows == 9
    assert spec.batches_per_pass == 2
    assert list(spec.filepaths) == list(generator.filepaths)
    assert spec.directory == str(folder)
    assert spec.classes == tuple(generator.classes)
    assert spec.class_indices == {"cat": 0, "dog": 1, "emu": 2}
    assert spec.sample_weight.tolist() == frame["weight"][3:].tolist()
    read = spec.augmentation
    assert (read.rotation_range, read.shear_range, read.rescale, read.interpolation_order) == (12, 0.3, 0.5, 0)
    assert (read.width_shift_range, read.height_shift_range, read.zoom_range) == ([1, 2], 0.1, (0.75, 1.25))
    assert (read.horizontal_flip, read.vertical_flip, read.cval) == (True, True, 3.0)
    assert spec.overridden == ()
    check_supported(spec)


FAILS_IN_KERAS = {
    "save_to_dir='/nowhere'": {"save_to_dir": "/nowhere"},
    "brightness_range with data_format='channels_first'": {
        "options": {"brightness_range": (0.5, 1.5), "data_format": "channels_first"},
        "data_format": "channels_first",
    },
    "fails in Keras itself": {
        "options": {"brightness_range": (0.5, 1.5), "data_format": "channels_first"},
        "data_format": "channels_first",
        "target_size": (9, 9),
    },
}


@pytest.mark.parametrize("name", FAILS_IN_KERAS)
def test_what_fails_in_keras_is_named(images, name):
    """One error with the option's name and the reason; nothing is done halfway."""
    arguments = FAILS_IN_KERAS[name]
    if "fails" not in name and "data_format" in arguments:
        arguments = {**arguments, "target_size": (8, 4)}  # a width that Keras takes for four channels
    with pytest.raises(UnsupportedOptionError, match=name):
        check_supported(read_spec(make_generator(*images, **arguments)))


def test_everything_refused_is_named_at_once(images):
    """Nobody wants to hear of one obstacle after the other."""
    options = {"brightness_range": (0, 1), "data_format": "channels_first"}
    generator = make_generator(
        *images, options=options, data_format="channels_first", save_to_dir="/nowhere", seed=None
    )
    with pytest.raises(UnsupportedOptionError, match=r"save_to_dir.*brightness_range.*mode=\"replay\" needs a seeded"):
        check_supported(read_spec(generator), "replay")


def test_user_code_inside_is_named(images):
    """A method that user code replaced may do anything, wherever it was put."""
    frame, folder = images

    class Shouting(ImageDataGenerator):
        def standardize(self, x):
            return super().standardize(x) * 2

    arguments = {"directory": str(folder), "x_col": "file", "y_col": "class", "target_size": (8, 8)}
    with pytest.raises(UnsupportedOptionError, match=r"Shouting.standardize is not Keras' own"):
        check_supported(read_spec(Shouting().flow_from_dataframe(frame, **arguments)))

    generator = make_generator(frame, folder)

    class Louder(type(generator)):
        def __getitem__(self, index):
            return super().__getitem__(index)

        def something_else(self):
            return 1

    generator.__class__ = Louder
    with pytest.raises(UnsupportedOptionError, match=r"Louder.__getitem__ is not Keras' own"):
        check_supported(read_spec(generator))

    generator = make_generator(frame, folder)
    generator.image_data_generator.apply_transform = lambda x, parameters: x
    with pytest.raises(UnsupportedOptionError, match=r"ImageDataGenerator.apply_transform \(replaced on the object\)"):
        check_supported(read_spec(generator))


def test_a_replaced_loader_is_named(images, monkeypatch):
    """A known trick puts random crops into the module's load_img; a store would freeze them."""
    generator = make_generator(*images)
    module = type(generator)._get_batches_of_transformed_samples.__globals__["image_utils"]

    def crop(path, **options):
        raise AssertionError(path)

    monkeypatch.setattr(module, "load_img", crop)
    with pytest.raises(UnsupportedOptionError, match=r"load_img \(replaced by .*crop"):
        check_supported(read_spec(generator))


def test_arrays_are_read(images):
    """The images and labels of flow() are the generator's own arrays, and nothing about them is refused."""
    generator = ImageDataGenerator().flow(np.zeros((4, 8, 8, 3)), np.arange(4), batch_size=2)
    spec = read_spec(generator)
    check_supported(spec)
    assert (spec.kind, spec.num_rows, spec.image_shape) == ("NumpyArrayIterator", 4, (8, 8, 3))
    assert spec.arrays.images is generator.x
    assert spec.arrays.targets.tolist() == [0, 1, 2, 3]


def test_wrapped_generator_is_refused_with_the_name_of_what_to_pass(images):
    """User code around the iterator cannot be seen through."""
    train_generator = make_generator(*images)

    def batches():
        yield from train_generator

    running = batches()
    next(running)
    with pytest.raises(NotAGeneratorError, match=r"batches yields from 'train_generator'.*autofix\(train_generator"):
        read_spec(running)
    with pytest.raises(NotAGeneratorError, match=r"autofix\(train_generator"):
        read_spec(batches())
    with pytest.raises(NotAGeneratorError, match="pass that iterator itself"):
        read_spec(x for x in [1])


class OwnSequence(PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return np.zeros((1, 2)), np.zeros(1)


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (lambda: np.zeros((3, 3)), "ndarray"),
        (lambda: tf.data.Dataset.range(3), "Dataset"),
        (OwnSequence, "OwnSequence"),
        (ImageDataGenerator, r"Call .flow_from_dataframe\(...\) on it"),
        (lambda: ImageDataGenerator, r"Call .flow_from_dataframe\(...\) on it"),
        (lambda: None, "NoneType"),
    ],
)
def test_other_inputs_are_refused(thing, words):
    """One sentence that says what came and what is taken."""
    with pytest.raises(NotAGeneratorError, match=words) as error:
        read_spec(thing())
    assert "flow_from_dataframe" in str(error.value)
