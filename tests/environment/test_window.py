"""What the machine did between two moments, from planted trees."""

from __future__ import annotations

import pytest

from kerasdiag.environment.window import WindowWatch

PSI = "some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"


def plant(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Clock:
    """Ten seconds from one reading to the next."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 10.0
        return self.now


def plant_group(root, throttled, periods, total):
    plant(root, "proc/self/cgroup", "0::/train\n")
    plant(root, "proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    plant(root, "sys/fs/cgroup/cgroup.controllers", "cpu memory io")
    plant(root, "sys/fs/cgroup/train/cgroup.controllers", "cpu memory io")
    plant(root, "sys/fs/cgroup/train/cpu.stat", f"nr_periods {periods}\nnr_throttled {throttled}\n")
    for name in ("cpu", "io", "memory"):
        plant(root, f"sys/fs/cgroup/train/{name}.pressure", PSI.format(total=total))


def test_a_throttled_container(tmp_path):
    """Periods and waiting of the window only, not those since the container began."""
    plant_group(tmp_path, throttled=100, periods=1000, total=5_000_000)
    watch = WindowWatch(tmp_path, Clock())
    plant_group(tmp_path, throttled=134, periods=1100, total=7_500_000)
    window = watch.look()
    assert window.throttled_fraction == pytest.approx(0.34)
    assert window.stalled_fractions == pytest.approx({"cpu": 0.25, "io": 0.25, "memory": 0.25})
    assert window.seconds == pytest.approx(10.0)


def test_a_machine_without_groups(tmp_path):
    """Pressure of the whole machine, and time that others got."""
    plant(tmp_path, "proc/pressure/io", PSI.format(total=0))
    plant(tmp_path, "proc/stat", "cpu 100 0 100 800 0 0 0 0 0 0\n")
    watch = WindowWatch(tmp_path, Clock())
    plant(tmp_path, "proc/pressure/io", PSI.format(total=1_000_000))
    plant(tmp_path, "proc/stat", "cpu 150 0 150 850 0 0 0 50 0 0\n")
    window = watch.look()
    assert window.throttled_fraction is None
    assert window.steal_fraction == pytest.approx(0.25)
    assert window.stalled_fractions == pytest.approx({"io": 0.1})


def test_a_system_that_tells_nothing(tmp_path):
    """Windows and macOS: not measured, and nothing raised."""
    window = WindowWatch(tmp_path).look()
    assert (window.throttled_fraction, window.steal_fraction, dict(window.stalled_fractions)) == (None, None, {})


@pytest.mark.parametrize("text", ["", "nonsense", "some total=x", "some avg10=1", "\x00"])
def test_odd_files(tmp_path, text):
    """What cannot be read is not told."""
    plant(tmp_path, "proc/pressure/cpu", text)
    assert WindowWatch(tmp_path).look().stalled_fractions == {}


def test_the_peak_of_this_process():
    """Memory that was taken while it was watched is seen."""
    watch = WindowWatch()
    held = bytearray(200 * 2**20)
    window = watch.look()
    assert window.peak_memory_bytes > 200 * 2**20
    del held
