"""The rules, one file for each subject. A new one gets a line here and runs beside the other checks."""

from __future__ import annotations

from kerasdiag.doctor.check import Check
from kerasdiag.doctor.lint.rules.augmentation import frozen_augmentation
from kerasdiag.doctor.lint.rules.callbacks import busy_callback
from kerasdiag.doctor.lint.rules.fit_arguments import keras_2_fit_call
from kerasdiag.doctor.lint.rules.generators import image_data_generator, slow_generator_option
from kerasdiag.doctor.lint.rules.mapping import python_in_pipeline, sequential_map, unbuffered_end
from kerasdiag.doctor.lint.rules.parallelism import more_threads_than_cores
from kerasdiag.doctor.lint.rules.processes import equal_draws_in_processes
from kerasdiag.doctor.lint.rules.records import records_read_one_by_one
from kerasdiag.doctor.lint.rules.rescaling import rescaled_twice
from kerasdiag.doctor.lint.rules.shuffling import weak_shuffle
from kerasdiag.doctor.lint.rules.steps import steps_rounded_down
from kerasdiag.doctor.lint.rules.switches import debugging_left_on
from kerasdiag.doctor.lint.rules.unreadable import unreadable_script

RULES: tuple[Check, ...] = (
    unreadable_script,  # KD700
    keras_2_fit_call,  # KD701
    equal_draws_in_processes,  # KD703
    image_data_generator,  # KD704
    sequential_map,  # KD705
    unbuffered_end,  # KD706
    frozen_augmentation,  # KD707
    weak_shuffle,  # KD708
    python_in_pipeline,  # KD709
    more_threads_than_cores,  # KD710
    debugging_left_on,  # KD711
    records_read_one_by_one,  # KD712
    slow_generator_option,  # KD713
    busy_callback,  # KD714
    rescaled_twice,  # KD715
    steps_rounded_down,  # KD716
)
