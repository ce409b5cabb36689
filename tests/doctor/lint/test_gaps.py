"""Unknown is never ok: what a rule says of a script that it could not follow to the data, the model or the call."""

from __future__ import annotations

import json

import pytest
from builders import make_environment, make_packages, make_scripts
from doctor.lint.scripts import GENERATOR, HEAD, PIPELINE

from kerasdiag.cli import main
from kerasdiag.doctor.checks import CHECKS
from kerasdiag.doctor.lint.rules import RULES
from kerasdiag.doctor.selection import find_check
from kerasdiag.environment.scripts import find_scripts

KERAS_3 = {"packages": make_packages(keras="3.15.1", tensorflow="2.21.0")}
MODEL = HEAD + "model = keras.Sequential([keras.layers.Flatten()])\nmodel.compile('sgd', 'mse')\n"
FROM_ELSEWHERE = MODEL + "import common\nmodel.fit(common.make_data())\n"
ABOUT_INPUT = ("KD703", "KD704", "KD705", "KD707", "KD708", "KD709", "KD710", "KD712", "KD713", "KD716")
NOT_OPT_IN = [rule.code for rule in RULES if rule.code != "KD700" and not rule.is_opt_in]


def answer(code, *sources):
    return find_check(CHECKS, code).examine(make_environment(scripts=make_scripts(*sources), **KERAS_3))


@pytest.mark.parametrize("code", ABOUT_INPUT)
def test_an_input_from_elsewhere(code):
    """Where it comes from is named; all rules say the same, and so share a line."""
    found = answer(code, FROM_ELSEWHERE)
    assert str(found.status) == "unknown"
    assert found.statement == "the input of fit at train.py:6 comes from common.make_data(), which was not followed"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            "def go(model, train):\n    model.fit(train)\n",
            "the input of fit at train.py:6, train, could not be followed",
        ),
        ("from common import load\nfirst, second = load()\nmodel.fit(first)\n", "train.py:7, first, could not"),
        ("import itertools, common\nmodel.fit(itertools.cycle(common.rows()))\n", "comes from itertools.cycle()"),
        ("def rows():\n    yield 1\nmodel.fit(rows())\n", "train.py:7, rows(), could not"),
        ("model.fit(**options)\n", "the input of fit at train.py:5 could not"),
    ],
)
def test_inputs_that_are_not_followed(data, says):
    """Arguments of a function, parts of a result, Python generators."""
    assert says in answer("KD704", MODEL + data).statement


@pytest.mark.parametrize(
    "data",
    [
        "(x, y), _ = keras.datasets.mnist.load_data()\nx = x.astype('float32') / 255\nmodel.fit(x, y)\n",
        "import numpy as np\nmodel.fit(np.load('x.npy').astype('float32'))\n",
        "train = keras.preprocessing.image.ImageDataGenerator().flow_from_directory('a')\ntrain.workers = 4\nmodel.fit(train)\n",
        "model.fit(keras.utils.image_dataset_from_directory('a'), callbacks=[keras.callbacks.EarlyStopping()])\n",
        "class Rows(keras.utils.PyDataset):\n    pass\nmodel.fit(Rows(workers=4))\n",
        "def main(data):\n    model.fit(data)\nmain(tf.data.Dataset.range(9))\n",
        "import common\nmodel.fit(common.make_data())  # kerasdiag: ignore\n",
    ],
)
def test_an_ordinary_script_is_followed(data):
    """No rule is unsure of arrays, generators and datasets that stand in the script, or where a comment says so."""
    unsure = [code for code in NOT_OPT_IN if str(answer(code, MODEL + data).status) in ("unknown", "crashed")]
    assert unsure == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (HEAD + "import common\nmodel = common.build()\ncommon.train(model, run_eagerly=True)\n", "no call of compile was found in train.py"),
        (MODEL.replace("'mse'", "'mse', run_eagerly=arguments.debug"), "run_eagerly of compile at train.py:4 is not known"),
        (MODEL.replace("'mse'", "'mse', **options"), "the arguments of compile at train.py:4 are not all written there"),
    ],
)  # fmt: skip
def test_switches_that_may_be_set_elsewhere(source, says):
    """A compile in a helper, or with arguments from elsewhere."""
    found = answer("KD711", source)
    assert str(found.status) == "unknown"
    assert says in found.statement


def test_a_finding_stays_one():
    """The statement says what else there may be."""
    found = answer("KD704", GENERATOR + "model.fit(train)\nmodel.fit(other)\n")
    assert str(found.status) == "info"
    assert "train.py:8, other, could not be followed" in found.statement


def test_modules_that_others_import_need_no_fit(tmp_path, monkeypatch):
    """Named beside the script that trains; any other named script is missed, and in a folder nobody asks for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layers.py").write_text("import keras\n")
    (tmp_path / "other.py").write_text("import keras\n")
    (tmp_path / "train.py").write_text(GENERATOR + "import layers\ntrain.workers = 2\nmodel.fit(train)\n")

    def statement(*names):
        return find_check(CHECKS, "KD713").examine(make_environment(scripts=find_scripts(names))).statement

    assert statement("layers.py", "train.py") == "2 scripts read"
    assert statement("other.py", "train.py") == "no call of fit was found in other.py"
    assert statement(".") == "3 scripts read"
    assert statement("layers.py", "other.py") == "no call of fit was found in the 2 scripts"


def test_a_fit_of_nobody_knows_what():
    """A script that gets even Keras from another module is not said to have no fit."""
    source = "import common\nmodel = common.build()\nmodel.fit(common.make_data())\n"
    assert (
        answer("KD704", source).statement
        == "train.py calls fit, but nothing there shows that it is that of a Keras model"
    )


def test_few_gaps_are_told():
    """A folder may have a hundred of them."""
    fits = "".join(f"model.fit(data{number})\n" for number in range(9))
    assert answer("KD704", MODEL + fits).statement.endswith("; and 6 more")


def test_naming_a_script_loses_no_note():
    """What holds for this machine is told where the script does not say otherwise, with what was not followed."""
    (note,) = answer("KD702", FROM_ELSEWHERE).findings
    assert "ImageDataGenerator has 1 unless you set it" in note.message
    assert "whether this script sets workers is not known: the input of fit at train.py:6" in note.evidence[-1].text
    assert answer("KD702", MODEL + "model.fit(x, y)\n").findings == ()


def test_the_report_says_that_it_could_not_tell(tmp_path, monkeypatch, capsys):
    """One line for all rules of one reason; neither --strict nor --fail-on takes it for a fault."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(FROM_ELSEWHERE)
    command = [
        "doctor",
        "train.py",
        "--no-probe",
        "--select",
        "KD703,KD704,KD705,KD707",
        "--strict",
        "--fail-on",
        "warn",
    ]
    assert main(command) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "nothing found, but 4 checks could not tell" in out
    assert "unknown KD703, KD704, KD705, KD707: the input of fit at train.py:6 comes from common.make_data()" in out
    main([*command, "--format", "json"])
    assert json.loads(capsys.readouterr().out)["complete"] is True


def test_datasets_of_a_loop_of_ones_own():
    """Rules about tf.data judge every dataset, and need no fit for that; the others do."""
    source = PIPELINE + "for batch in ds.batch(9):\n    step(batch)\n"
    assert str(answer("KD705", source).status) == "ok"
    assert answer("KD704", source).statement == "no call of fit was found in train.py"


def test_a_map_from_elsewhere():
    """What it does for each element is what the rules about pipelines judge; those about fit's input need not know."""
    source = MODEL + "import common\ntrain = tf.data.Dataset.list_files('*.jpg').map({})\nmodel.fit(train)\n"
    found = answer("KD705", source.format("common.load"))
    assert found.statement == "the function that map at train.py:6 calls for each element was not followed"
    assert str(answer("KD704", source.format("common.load")).status) == "ok"
    assert str(answer("KD709", source.format("tf.io.read_file")).status) == "ok"


def test_a_generator_that_is_made_elsewhere():
    """Its options are not known, and no Keras is known to read it."""
    source = MODEL + "import common\nmodel.fit(common.generator().flow_from_directory('a'))\n"
    assert answer("KD713", source).statement.startswith("the ImageDataGenerator that fit at train.py:6 reads was not")


@pytest.mark.parametrize(
    ("keras", "status"), [("3.15.1", "unknown"), ("2.15.0", "ok"), (None, "unknown")]
)  # fmt: skip
@pytest.mark.parametrize("code", ["KD701", "KD716"])
def test_rules_about_keras_3_miss_nothing_on_keras_2(code, keras, status):
    """Nothing that they look for would be a fault there; and without Keras nobody knows."""
    packages = make_packages(keras=keras) if keras else make_packages(numpy="2.0")
    environment = make_environment(scripts=make_scripts(MODEL + "model.fit(**options)\n"), packages=packages)
    assert str(find_check(CHECKS, code).examine(environment).status) == status


def test_a_generator_without_keras():
    """Keras 2 and 3 read it otherwise."""
    environment = make_environment(
        scripts=make_scripts(GENERATOR + "model.fit(train)\n"), packages=make_packages(numpy="2.0")
    )
    for code in ("KD702", "KD716"):
        found = find_check(CHECKS, code).examine(environment)
        assert str(found.status) == "unknown"
        assert found.statement.startswith("no Keras is installed here that would tell how the fit at train.py:7 reads")
