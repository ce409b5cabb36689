"""Stand-ins for the module pynvml: a machine without a driver, and GPUs of any state."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml


class NVMLError(Exception):
    """As pynvml's: the code is in ``value``."""

    def __init__(self, value):
        super().__init__(f"NVML error {value}")
        self.value = value


NOT_SUPPORTED, DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND = 3, 9, 12


class NoDriver:
    """pynvml where there is no NVIDIA driver; another code says that it is broken."""

    def __init__(self, code=LIBRARY_NOT_FOUND):
        self.code = code

    def nvmlInit(self):
        raise NVMLError(self.code)

    def nvmlShutdown(self):
        raise NVMLError(1)


# Answers of a sound GPU at work, by the function of pynvml.
SOUND = {
    "nvmlDeviceGetName": "NVIDIA T4",
    "nvmlDeviceGetUUID": "GPU-1",
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=16 * 10**9, used=10**9, free=15 * 10**9),
    "nvmlDeviceGetMigMode": [0, 0],
    "nvmlDeviceGetComputeRunningProcesses": [],
    "nvmlDeviceGetEnforcedPowerLimit": 70_000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 70_000,
    "nvmlDeviceGetCurrentClocksEventReasons": 0,
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=60, memory=20),
    "nvmlDeviceGetCudaComputeCapability": (7, 5),
    "nvmlDeviceGetCurrPcieLinkWidth": 16,
    "nvmlDeviceGetMaxPcieLinkWidth": 16,
    "nvmlDeviceGetCurrPcieLinkGeneration": 3,
    "nvmlDeviceGetMaxPcieLinkGeneration": 3,
    "nvmlDeviceGetPcieReplayCounter": 0,
    "nvmlDeviceGetRetiredPagesPendingStatus": 0,
    "nvmlDeviceGetRemappedRows": (0, 0, 0, 0),
}


class Nvml:
    """pynvml with GPUs; what is said instead of ``SOUND`` goes by the function's name, an int subclass of error raises."""

    def __init__(self, *gpus, driver="550.54.15", cuda=12040):
        self.gpus = [{**SOUND, "nvmlDeviceGetUUID": f"GPU-{number}", **gpu} for number, gpu in enumerate(gpus or ({},))]
        self.driver, self.cuda = driver, cuda
        self.users = 0

    def nvmlInit(self):
        self.users += 1

    def nvmlShutdown(self):
        self.users -= 1

    def nvmlDeviceGetCount(self):
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlSystemGetDriverVersion(self):
        return self.driver

    def nvmlSystemGetCudaDriverVersion(self):
        return self.cuda

    def __getattr__(self, call):
        if not hasattr(pynvml, call):  # a misspelt name, or one that the real bindings do not have
            raise AttributeError(call)
        if call not in SOUND:
            raise NVMLError(NOT_SUPPORTED)

        def answer(handle):
            value = self.gpus[handle][call]
            if isinstance(value, Exception):
                raise value
            return value

        return answer
