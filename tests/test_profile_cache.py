"""The last profile of each input, found by the next run."""

from __future__ import annotations

import os

from builders import make_input, make_profile

from kerasdiag import profile_cache
from kerasdiag.profile_cache import find_last_profile, profile_path, save_last_profile


def test_found_for_training_and_validation_input():
    """The verdict of a fit holds for both its inputs."""
    training, validation = make_input(subset="training"), make_input(subset="validation", n=200)
    profile = make_profile(0.1, training_input=training, validation_input=validation)
    save_last_profile(profile)
    assert find_last_profile(training) == profile
    assert find_last_profile(validation) == profile
    assert find_last_profile(make_input(n=7)) is None


def test_the_last_one_wins():
    """After a repair the old verdict must not come back."""
    save_last_profile(make_profile(0.1))
    save_last_profile(make_profile(0.0))
    assert find_last_profile(make_input()).steps.wait_s[0] == 0


def test_workers_do_not_make_another_input():
    """The same rows with more workers are the same input."""
    save_last_profile(make_profile(0.1, training_input=make_input(workers=1)))
    assert find_last_profile(make_input(workers=8)) is not None


def test_damaged_file_is_no_profile():
    """Evidence that cannot be read is no evidence, and no error."""
    save_last_profile(make_profile(0.1))
    profile_path(make_input()).write_text("{")
    assert find_last_profile(make_input()) is None


def test_ranks_do_not_overwrite_each_other():
    """Each process of a job keeps its own."""
    save_last_profile(make_profile(0.1, rank=0))
    save_last_profile(make_profile(0.0, rank=1))
    assert find_last_profile(make_input()).rank == 0
    assert find_last_profile(make_input(), rank=1).rank == 1


def test_folder_is_private_and_bounded(monkeypatch):
    """Paths of a user's data are nobody else's business, and a year of experiments does not pile up."""
    monkeypatch.setattr(profile_cache, "MAX_FILES", 5)
    for number in range(9):
        save_last_profile(make_profile(0.1, count=10, training_input=make_input(n=number)))
        os.utime(profile_path(make_input(n=number)), (number, number))
    folder = profile_path(make_input()).parent
    assert len(list(folder.iterdir())) == 5
    assert find_last_profile(make_input(n=8)) is not None
    assert find_last_profile(make_input(n=0)) is None
    assert folder.stat().st_mode & 0o077 == 0
