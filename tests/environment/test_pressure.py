"""Counters of the kernel read twice, from trees that change in between, and from nonsense."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kerasdiag.environment.limits import find_limits
from kerasdiag.environment.pressure import watch_pressure


@pytest.fixture
def tree(tmp_path):
    """Write files of a machine."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_what_happened_while_it_was_watched(tree):
    """Differences, as shares; a stop of the group counts by its periods."""
    root = tree(
        proc__self__cgroup="0::/job\n",
        sys__fs__cgroup__job__cpu_stat="",
        proc__stat="cpu 100 0 100 800 0 0 0 0 50 0\ncpu0 1\n",
        proc__vmstat="pswpin 10\npswpout 5\nnr_free 7\n",
        proc__pressure__memory="some avg10=12.50 avg60=0.00 total=1\nfull avg10=99.00\n",
    )
    (root / "sys/fs/cgroup/job/cpu.stat").write_text("nr_periods 100\nnr_throttled 10\n")
    (root / "sys/fs/cgroup/job/memory.events").write_text("oom_kill 3\n")

    def later(seconds):
        (root / "sys/fs/cgroup/job/cpu.stat").write_text("nr_periods 110\nnr_throttled 15\n")
        tree(proc__stat="cpu 130 0 120 830 0 0 0 20 60 0\n", proc__vmstat="pswpin 10\npswpout 9\n")

    facts = watch_pressure(root, later)
    assert facts.throttled == pytest.approx(5 / 10)
    assert facts.throttled_ever == pytest.approx(15 / 110)
    assert facts.steal == pytest.approx(20 / 100)  # time of guests is in that of users
    assert (facts.swapped_pages, facts.oom_kills, facts.stalled) == (4, 3, {"memory": 0.125})


def test_quotas_on_two_levels(tree):
    """Each group by its own readings: the outer one was the stricter before, the inner one is stopped now."""
    root = tree(proc__self__cgroup="0::/pod/job\n")
    (root / "sys/fs/cgroup/pod/job").mkdir(parents=True)

    def stopped(pod, job):
        (root / "sys/fs/cgroup/pod/cpu.stat").write_text("nr_periods {}\nnr_throttled {}\n".format(*pod))
        (root / "sys/fs/cgroup/pod/job/cpu.stat").write_text("nr_periods {}\nnr_throttled {}\n".format(*job))

    stopped(pod=(1000, 500), job=(100, 40))
    facts = watch_pressure(root, lambda seconds: stopped(pod=(1010, 500), job=(110, 49)))
    assert facts.throttled == pytest.approx(9 / 10)
    assert facts.throttled_ever == pytest.approx(500 / 1010)
    stopped(pod=(1000, 500), job=(1990, 990))
    facts = watch_pressure(root, lambda seconds: stopped(pod=(1010, 502), job=(2000, 1000)))
    assert facts.throttled == pytest.approx(10 / 10)
    stopped(pod=(1000, 500), job=(0, 0))
    assert watch_pressure(root, lambda seconds: stopped(pod=(1010, 500), job=(10, 3))).throttled == pytest.approx(0.3)


def test_a_machine_that_tells_nothing(tmp_path):
    """Nothing is known, nothing is zero."""
    facts = watch_pressure(tmp_path, lambda seconds: None)
    assert {facts.throttled, facts.throttled_ever, facts.steal, facts.swapped_pages, facts.oom_kills} == {None}
    assert facts.stalled == {}


def test_a_container_with_a_namespace_of_its_own(tree):
    """It sees its group as the root, which on a machine has no such file."""
    root = tree(proc__self__cgroup="0::/\n")
    (root / "sys/fs/cgroup").mkdir(parents=True)
    (root / "sys/fs/cgroup/memory.events").write_text("oom_kill 9\n")
    assert watch_pressure(root, lambda seconds: None).oom_kills == 9


def test_a_mouse_is_no_laptop(tree):
    """Its battery says nothing about the machine."""
    root = tree(
        sys__class__power_supply__hid__type="Battery\n",
        sys__class__power_supply__hid__scope="Device\n",
        sys__class__power_supply__ucsi__type="USB\n",
        sys__class__power_supply__ucsi__online="0\n",
    )
    assert find_limits(root).on_battery is None


NAMES = (
    "proc/stat",
    "proc/vmstat",
    "proc/pressure/cpu",
    "sys/fs/cgroup/cpu.stat",
    "proc/self/limits",
    "proc/self/cgroup",
)
WORDS = st.sampled_from(
    [
        "cpu",
        "nr_periods",
        "nr_throttled",
        "-1",
        "9" * 40,
        "٣",
        "²",
        "some",
        "avg10=x",
        "Max open files",
        "\x00",
        "1",
        "\n",
    ]
)


@given(st.lists(WORDS, max_size=30).map(" ".join), st.sampled_from(NAMES))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nonsense(tmp_path, text, name):
    """Whatever stands there, an answer comes."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    watch_pressure(tmp_path, lambda seconds: None)
    find_limits(tmp_path)


def test_limits(tree):
    """What a laptop says."""
    root = tree(
        sys__class__power_supply__AC__type="Mains\n",
        sys__class__power_supply__AC__online="0\n",
        sys__class__power_supply__BAT0__type="Battery\n",
        sys__devices__system__cpu__cpu0__cpufreq__scaling_governor="powersave\n",
        sys__devices__system__cpu__cpu0__cpufreq__scaling_driver="acpi-cpufreq\n",
    )
    facts = find_limits(root)
    assert (facts.governor, facts.governor_driver, facts.on_battery) == ("powersave", "acpi-cpufreq", True)
