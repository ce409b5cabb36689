"""Whatever is installed in whatever version, the checks of packages come to an answer."""

from __future__ import annotations

import pytest
from builders import make_environment, make_input, make_profile
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasdiag.doctor.checks import CHECKS
from kerasdiag.environment.interpreter import Interpreter
from kerasdiag.environment.packages import GeneratorCode, PackageFacts

NAMES = [
    "tensorflow", "tensorflow-cpu", "tensorflow-intel", "tf-nightly", "keras", "tf-keras", "keras-preprocessing", "numpy",
    "protobuf", "pillow", "scipy", "pynvml", "nvidia-ml-py", "h5py",
]  # fmt: skip
VERSIONS = st.one_of(
    st.sampled_from(["2.10.1", "2.15.1", "2.16.2", "2.21.0", "3.6.0", "1.0.9", "1.1.2", "2", "2.16.0rc1", "1!2.0", "8.4.0", "", "x", "2.15.1+nv24.1"]),
    st.text(max_size=6),
)  # fmt: skip
REQUIREMENTS = st.one_of(
    st.sampled_from(["numpy<2", "protobuf >=3,<4", "!!", "keras>=3 ; python_version < '3.9'", "h5py[x]; extra == 'y'", "a; nonsense == 'x'", "tensorflow"]),
    st.text(max_size=20),
)  # fmt: skip
FACTS = st.builds(
    PackageFacts,
    st.dictionaries(st.sampled_from(NAMES), VERSIONS),
    st.lists(st.builds(GeneratorCode, st.sampled_from(NAMES), VERSIONS, st.booleans(), st.none()), max_size=2).map(tuple),
    st.booleans(),
    interpreter=st.builds(Interpreter, st.sampled_from([None, "3.9.18", "3", "x", "3.15.0a1"]), st.sampled_from([None, "win32", "beos"])),
    place=st.sampled_from(["", "requirements.txt"]),
    unpinned=st.dictionaries(st.sampled_from(NAMES), st.text(max_size=5)),
    is_declared=st.booleans(),
    requires=st.dictionaries(st.sampled_from(NAMES), st.lists(REQUIREMENTS, max_size=4).map(tuple)),
    conda=st.frozensets(st.sampled_from(NAMES)),
    jpeg_library=st.one_of(st.none(), st.text(max_size=20)),
    environ=st.dictionaries(st.sampled_from(["KERAS_BACKEND", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"]), st.text(max_size=8)),
)  # fmt: skip
PROFILES = [None, make_profile(0.08, 0.05, training_input=make_input(workers=4)), make_profile(training_input=None)]


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check.code.startswith("KD1")], ids=lambda check: check.code
)
def test_odd_packages_never_raise(check):
    """Nonsense versions, requirements and markers; every answer says something and carries the check's own code."""

    @settings(max_examples=60, deadline=None)
    @given(packages=FACTS, profile=st.sampled_from(PROFILES))
    def examine(packages, profile):
        answer = check.examine(make_environment(packages=packages, profile=profile))
        assert answer.statement or answer.findings
        for finding in answer.findings:
            assert finding.code == check.code
            assert finding.evidence
            finding.to_dict()

    examine()
