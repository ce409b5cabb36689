"""The checks, one file for each subject. A new one gets a line here; nothing is found by magic."""

from __future__ import annotations

from kerasdiag.doctor.check import Check
from kerasdiag.doctor.checks.broken_tensorflow import broken_tensorflow
from kerasdiag.doctor.checks.cache_disk import full_cache_disk
from kerasdiag.doctor.checks.cores import cores_out_of_reach
from kerasdiag.doctor.checks.disk import data_on_hard_disk, disk_contradicts_itself
from kerasdiag.doctor.checks.gpu_state import (
    broken_gpu_memory,
    hidden_gpu_metrics,
    limited_power,
    narrow_pcie_link,
    shared_gpu,
    throttled_gpu,
)
from kerasdiag.doctor.checks.gpu_visibility import (
    invisible_gpu,
    kernels_compiled_at_start,
    missing_cuda_libraries,
    outdated_driver,
)
from kerasdiag.doctor.checks.image_files import unfit_image_files
from kerasdiag.doctor.checks.image_packages import affine_without_scipy, slow_jpeg_library
from kerasdiag.doctor.checks.keras_preprocessing import quadratic_file_list
from kerasdiag.doctor.checks.keras_versions import unfit_keras, workers_hang
from kerasdiag.doctor.checks.limits import little_shared_memory, slowed_processor
from kerasdiag.doctor.checks.memory_card import data_on_memory_card
from kerasdiag.doctor.checks.network import (
    data_on_google_drive,
    data_on_network,
    data_on_windows_drive,
    files_left_in_the_cloud,
)
from kerasdiag.doctor.checks.old_iterators import old_image_iterators
from kerasdiag.doctor.checks.preparation import slow_image_preparation
from kerasdiag.doctor.checks.reported import pynvml_shim, reported_slow
from kerasdiag.doctor.checks.requirements import unmet_requirement
from kerasdiag.doctor.checks.scanners import scanned_reads
from kerasdiag.doctor.checks.small_files import slow_cold_reads
from kerasdiag.doctor.checks.stalls import short_of_memory, stopped_for_others
from kerasdiag.doctor.checks.tensorflow import unfit_tensorflow
from kerasdiag.doctor.checks.tensorflow_companions import numpy_2, unfit_protobuf
from kerasdiag.doctor.checks.usb import data_behind_slow_usb
from kerasdiag.doctor.checks.variables import slowing_variables
from kerasdiag.doctor.checks.workers import unfit_workers
from kerasdiag.doctor.lint.rules import RULES

_CHECKS: tuple[Check, ...] = (
    quadratic_file_list,
    old_image_iterators,
    unmet_requirement,
    numpy_2,
    unfit_protobuf,
    unfit_tensorflow,
    unfit_keras,
    workers_hang,
    slow_jpeg_library,
    affine_without_scipy,
    pynvml_shim,
    reported_slow,
    broken_tensorflow,
    invisible_gpu,
    missing_cuda_libraries,
    kernels_compiled_at_start,
    outdated_driver,
    throttled_gpu,
    narrow_pcie_link,
    shared_gpu,
    limited_power,
    hidden_gpu_metrics,
    broken_gpu_memory,
    data_on_hard_disk,
    disk_contradicts_itself,
    slow_cold_reads,
    data_on_network,
    data_on_windows_drive,
    data_on_google_drive,
    files_left_in_the_cloud,
    data_on_memory_card,
    data_behind_slow_usb,
    scanned_reads,
    full_cache_disk,
    unfit_image_files,
    slow_image_preparation,
    cores_out_of_reach,
    stopped_for_others,
    short_of_memory,
    little_shared_memory,
    slowed_processor,
    slowing_variables,
    unfit_workers,
)
CHECKS = tuple(sorted((*_CHECKS, *RULES), key=lambda check: check.code))
