"""KD715 before models that begin with a Rescaling layer of the script's own."""

from __future__ import annotations

import pytest
from builders import make_environment, make_scripts
from doctor.lint.scripts import GENERATOR, PIPELINE

from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.selection import find_check

SCALED = GENERATOR + "train = IDG(rescale=1.0 / 255).flow_from_directory('a')\n"
SEQUENTIAL = (
    "model = keras.Sequential([keras.Input((9, 9, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Dense(3)])\n"
)
FUNCTIONAL = (
    "inputs = keras.Input((9, 9, 3))\n"
    "x = keras.layers.RandomFlip()(inputs)\n"
    "x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)\n"
    "model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Conv2D(8, 3)(x)))\n"
)
FIT = "model.fit(train)\n"


def answer(source):
    return find_check(CHECKS, "KD715").examine(make_environment(scripts=make_scripts(source)))


@pytest.mark.parametrize(
    "source",
    [
        SCALED + SEQUENTIAL + FIT,
        SCALED + FUNCTIONAL + FIT,
        SCALED + "model = keras.Sequential()\nmodel.add(keras.layers.Rescaling(scale=1 / 255))\n" + FIT,
        SCALED + "aug = keras.Sequential([keras.layers.Rescaling(1 / 255)])\nmodel = keras.Sequential([aug, net])\n" + FIT,
        SCALED
        + "scale = 1 / 255\nfirst = keras.layers.Rescaling(scale)\ndef build():\n    inputs = keras.Input((9, 9, 3))\n"
        "    return keras.Model(inputs=inputs, outputs=keras.layers.Dense(3)(first(inputs)))\nmodel = build()\n" + FIT,
        GENERATOR + SEQUENTIAL + "test = IDG(rescale=1 / 255).flow_from_directory('b')\nmodel.fit(train, validation_data=test)\n",
        GENERATOR + SEQUENTIAL + "model.fit(IDG().flow(x / 255, y))\n",
        PIPELINE + SEQUENTIAL + "model.fit(ds.map(load).map(lambda image, label: (image / 255, label)))\n",
    ],
)  # fmt: skip
def test_images_that_the_model_rescales_again(source):
    """Sequential and functional models, variables, a model in the model; training and validation data."""
    (finding,) = answer(source).findings
    assert str(finding.severity) == "warn"
    assert "divides the images before the model, whose layer" in finding.message
    assert finding.message.endswith("divides them again.")


def test_the_corrected_line():
    """It takes the division of the generator away."""
    (finding,) = answer(SCALED + SEQUENTIAL + FIT).findings
    assert finding.message.startswith(
        "rescale=1.0 / 255 divides the images before the model, whose layer keras.layers.Resc"
    )
    assert finding.remedy.code == ("train = IDG().flow_from_directory('a')",)


@pytest.mark.parametrize(
    "source",
    [
        GENERATOR + SEQUENTIAL + FIT,
        # Another model has the layer.
        SCALED + SEQUENTIAL + "other = keras.Sequential([keras.layers.Dense(3)])\nother.fit(train)\n",
        SCALED + SEQUENTIAL + "plain = IDG().flow_from_directory('b')\nmodel.fit(plain)\n",
        # A layer that brings 0 to 1 back, or one deep in the model.
        SCALED + "model = keras.Sequential([keras.layers.Rescaling(255)])\n" + FIT,
        SCALED + "model = keras.Sequential([keras.layers.Conv2D(3, 3), keras.layers.Rescaling(1 / 255)])\n" + FIT,
        SCALED + "model = keras.Sequential([keras.layers.Rescaling(255), keras.layers.Rescaling(1 / 255)])\n" + FIT,
        SCALED + FUNCTIONAL.replace("RandomFlip()(inputs)", "Conv2D(3, 3)(inputs)") + FIT,
    ],
)
def test_images_that_are_divided_once(source):
    """And nothing is left open: all of these can be followed."""
    found = answer(source)
    assert (str(found.status), found.findings) == ("ok", ())


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (SCALED + "from nets import build\nmodel = build()\n" + FIT, "not all layers of the model of fit at train.py:10 are known"),
        (SCALED + "model = keras.Sequential([block()])\n" + FIT, "not all layers of the model of fit at train.py:9"),
        (GENERATOR + SEQUENTIAL + "model.fit(other, y)\n", "whether the images of fit at train.py:8 are rescaled before"),
        (GENERATOR + SEQUENTIAL + "model.fit(IDG(**options).flow_from_directory('a'))\n", "whether the images of fit at train.py:8"),
        (GENERATOR + SEQUENTIAL + "model.fit(IDG(rescale=options.scale).flow_from_directory('a'))\n", "whether the images of fit"),
        (GENERATOR + "from nets import build\nbuild().fit(train)\n", None),
        (GENERATOR + "model.fit(other)\n", None),
    ],
)  # fmt: skip
def test_what_is_not_followed(source, says):
    """A model or images from elsewhere; unless what is known of the other shows that nothing is divided twice."""
    found = answer(source)
    assert str(found.status) == ("unknown" if says else "ok")
    assert (says or "1 script read") in found.statement
