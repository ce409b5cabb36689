"""XProf, which reads a trace and knows nothing of us, finds the same share of waiting.

Keras 3 marks its steps in a way that XProf does not read; the profiler marks them again, so that the trace of
`TensorBoard(profile_batch=...)` beside it gets a verdict.
"""

from __future__ import annotations

import json
import os
import re

import pytest
from keras_api import keras
from scripted import make_scripted_model, sleeping_dataset

from kerasdiag import BottleneckProfiler

pytestmark = [pytest.mark.keras, pytest.mark.thorough]

if os.environ.get("KERASDIAG_TEST_ENVIRONMENT") == "xprof":
    from xprof.convert import raw_to_tool_data
else:
    raw_to_tool_data = None

TOLERANCE = 0.05
STEPS = 80


def conclusion_of_xprof(folder):
    """What XProf's input pipeline analyzer says of the only trace in a folder, and milliseconds of a step by part."""
    paths = [str(path) for path in folder.rglob("*.xplane.pb")]
    assert len(paths) == 1
    text, _ = raw_to_tool_data.xspace_to_tool_data(paths, "input_pipeline_analyzer", {})
    for table in json.loads(text):
        if "input_conclusion" in table.get("p", {}):
            return table["p"]["input_conclusion"], table["p"]
    raise AssertionError("no table of the analyzer has a conclusion")


def train(folder, load_s, step_s, *, callbacks=(), first=False):
    """One epoch whose steps 20 to 60 are traced."""
    board = keras.callbacks.TensorBoard(folder, profile_batch=(20, 60))
    order = [*callbacks, board] if first else [board, *callbacks]
    make_scripted_model(step_s).fit(sleeping_dataset(load_s, STEPS), verbose=0, callbacks=order)


@pytest.fixture(autouse=True)
def _has_xprof():
    if raw_to_tool_data is None:
        pytest.skip("xprof is installed in its own environment only")


@pytest.mark.parametrize("first", [True, False], ids=["before TensorBoard", "after TensorBoard"])
@pytest.mark.parametrize(("load_s", "step_s"), [(0.004, 0.03), (0.01, 0.02), (0.03, 0.01)])
def test_xprof_finds_our_share(tmp_path, load_s, step_s, first):
    """Within five points, from a little waiting to mostly waiting."""
    profiler = BottleneckProfiler(report=None)
    train(tmp_path, load_s, step_s, callbacks=[profiler], first=first)
    conclusion, parts = conclusion_of_xprof(tmp_path)
    share = float(parts["infeed_time_ms_avg"]) / float(parts["steptime_ms_average"])
    said = re.search(r"([\d.]+)% of the total step time", conclusion)
    if said is not None:
        assert float(said.group(1)) / 100 == pytest.approx(share, abs=0.01)
    assert profiler.diagnosis.data_wait_fraction == pytest.approx(share, abs=TOLERANCE)
    assert float(parts["steptime_ms_average"]) == pytest.approx(
        sum(profiler.profile.steps.measured.period_s) / profiler.diagnosis.measured_steps * 1e3, rel=0.1
    )


def test_without_the_profiler_xprof_finds_no_steps(tmp_path):
    """The reason why steps are marked; once Keras marks them itself, the marker can go."""
    train(tmp_path, 0.01, 0.02)
    conclusion, parts = conclusion_of_xprof(tmp_path)
    assert float(parts["steptime_ms_average"]) == 0 or "No step marker" in conclusion
