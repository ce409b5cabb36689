"""KD201 to KD204: GPUs that are there and not used, one check for each cause."""

from __future__ import annotations

from kerasdiag.compat import version_matches
from kerasdiag.doctor.check import Answer, check, found, ok, skipped, unknown
from kerasdiag.doctor.unseen_gpus import without_gpu
from kerasdiag.environment.facts import Environment
from kerasdiag.environment.gpus import GpuFacts, GpuState
from kerasdiag.environment.packages import PackageFacts
from kerasdiag.environment.tensorflow_build import TensorFlowBuild
from kerasdiag.findings import Evidence, Finding, Price, Provenance, Remedy, Severity

_CPU_WHEELS = ("tensorflow-cpu", "tensorflow-intel")
_BRINGS_CUDA = ">=2.14"  # its release notes: [and-cuda] is new
_NO_GPU_ON_WINDOWS = ">=2.11"  # tensorflow.org/install/pip: 2.10 was the last with GPU support on native Windows
_PRICE = Price.unknown("on the CPU a CNN mostly trains many times slower; how much, only a run on the GPU tells")

_PIP = "https://www.tensorflow.org/install/pip"
_WHICH_LIBRARY = "https://github.com/tensorflow/tensorflow/issues/66987"
_PTX = "https://github.com/tensorflow/tensorflow/issues/97387"
_COMPATIBILITY = "https://docs.nvidia.com/deploy/cuda-compatibility/"


@check("KD201", "invisible-gpu", needs=("gpus", "packages"), uses=("tensorflow_build", "tensorflow"))
def invisible_gpu(environment: Environment) -> Answer:
    """The machine has an NVIDIA GPU, and TensorFlow does not use it.

    What it finds:
        A wheel without GPU support (tensorflow-cpu, tensorflow-intel, every TensorFlow above 2.10 on native Windows),
        a GPU hidden by CUDA_VISIBLE_DEVICES, a card without a driver or with one that hangs, a container without the
        GPU, and a TensorFlow that sees none for no reason found here. Missing libraries are KD202, an old driver is
        KD204.

    Why it matters:
        TensorFlow then trains on the CPU and says so in one line among many, or, from 2.11 on under Windows, not
        at all.

    Example:
        TensorFlow 2.21.0 cannot use GPU 0 (NVIDIA T4): tensorflow-cpu is made without GPU support.

    Fix:
        Install the TensorFlow that has GPU support: pip install "tensorflow[and-cuda]" on Linux and WSL 2.

    When to ignore:
        If this environment is meant for the CPU, for tests say.
    """
    gpus, packages = _facts(environment)
    if not gpus.is_there:
        if gpus.is_silent or (gpus.cards is None and gpus.driver_version is None and gpus.remark):
            return unknown(f"no NVIDIA GPU can be seen: {gpus.remark}")
        return ok(f"no NVIDIA GPU is seen: {gpus.remark}" if gpus.remark else "the machine has no NVIDIA GPU")
    if packages.tensorflow is None:
        return skipped("TensorFlow is not installed here")
    probe = environment.tensorflow
    if probe is not None and probe.gpus:
        return ok(f"TensorFlow sees {len(probe.gpus)} GPU{'s' if len(probe.gpus) > 1 else ''}")
    if gpus.lacks_time:
        return unknown(f"{gpus.remark}; --timeout gives it more")
    cause = _cause(environment, gpus, packages)
    if cause is not None:
        why, remedy = cause
        # The cards of the host show in every container; whether this one was meant to have them, nobody knows.
        is_perhaps_meant = environment.system.is_container and gpus.driver_version is None
        severity = Severity.WARN if is_perhaps_meant else Severity.ERROR
        return found(_unused(gpus, packages, why, remedy, severity, Evidence(why, Provenance.DECLARED)))
    if probe is None:
        reason = environment.absent.get("tensorflow", "TensorFlow was not started")
        return unknown(f"nothing keeps TensorFlow from the GPU that can be seen without starting it ({reason})")
    if probe.unanswered:
        return unknown(f"TensorFlow could not be asked: {probe.unanswered}")
    if probe.missing or _driver_is_too_old(gpus, environment.tensorflow_build):
        return skipped("KD202 or KD204 tells why")
    why = "it sees none, though its libraries load and the driver is new enough"
    # It prints the name of the host where CUDA fails.
    printed = [f"TensorFlow printed: {line.strip()}" for line in probe.output[-3:]]
    said = [Evidence(line, Provenance.MEASURED, is_private=True) for line in printed]
    remedy = Remedy(
        "Read what TensorFlow says at its start:", (f'{packages.python} -c "import tensorflow"',), safe=True
    )
    return found(_unused(gpus, packages, why, remedy, Severity.ERROR, Evidence(why, Provenance.MEASURED), *said))


@check("KD202", "missing-cuda-libraries", needs=("gpus", "tensorflow"), uses=("tensorflow_build", "packages"))
def missing_cuda_libraries(environment: Environment) -> Answer:
    """A library of CUDA that TensorFlow needs cannot be loaded.

    What it finds:
        Which of cudart, cuBLAS, cuFFT, cuSOLVER, cuSPARSE and cuDNN cannot be loaded, in the version that the installed
        TensorFlow was built for. Each is tried by name in another process, where TensorFlow sees no GPU.

    Why it matters:
        One missing library is enough for TensorFlow to use no GPU at all, and it does not say which one it is.

    Example:
        TensorFlow sees no GPU, because libcudnn.so.9 cannot be loaded.

    Fix:
        pip install "tensorflow[and-cuda]" brings all of them in the right versions.

    When to ignore:
        Never, if the training is meant for the GPU.
    """
    (gpus, packages), probe = _facts(environment), environment.tensorflow
    if not gpus.is_there:
        return without_gpu(gpus, "there is no NVIDIA GPU")
    if environment.packages is not None and packages.tensorflow is None:
        return skipped("TensorFlow is not installed here")
    if probe is None or probe.unanswered:
        return unknown(f"TensorFlow could not be asked: {probe.unanswered if probe else 'it was not started'}")
    if not probe.missing:
        return ok("TensorFlow sees its GPUs" if probe.gpus else "every library that was tried can be loaded")
    names = ", ".join(probe.missing)
    them = "it" if len(probe.missing) == 1 else "them"
    version = packages.tensorflow[1] if packages.tensorflow else ""
    pinned = f"=={version}" if version else ""
    evidence = [Evidence(f"{name}: {said}", Provenance.MEASURED) for name, said in probe.missing.items()]
    build, with_what = environment.tensorflow_build, "the CUDA that it was built with"
    if build is not None and build.cuda is not None:
        with_what = f"CUDA {_dotted(build.cuda)}, cuDNN {build.cudnn_major}"
        evidence.append(Evidence(f"this TensorFlow was built with {with_what}", Provenance.DECLARED))
    return found(
        Finding(
            code="KD202",
            severity=Severity.ERROR,
            message=f"TensorFlow sees no GPU, because {names} cannot be loaded.",
            evidence=tuple(evidence),
            remedy=Remedy(
                f"Install {them} with TensorFlow:",
                (f'{packages.pip} install "tensorflow[and-cuda]{pinned}"',),
                safe=False,
            )
            if not version or version_matches(version, _BRINGS_CUDA)
            else Remedy(f"TensorFlow {version} does not bring CUDA along; install {with_what} from NVIDIA or conda."),
            numbers={"missing_libraries": len(probe.missing)},
            price=_PRICE,
            references=(_WHICH_LIBRARY, _PIP),
        )
    )


@check("KD203", "kernels-compiled-at-start", needs=("gpus", "tensorflow_build"), uses=("variables", "packages"))
def kernels_compiled_at_start(environment: Environment) -> Answer:
    """TensorFlow holds no machine code for this GPU, and compiles all of it when it starts.

    What it finds:
        A GPU whose compute capability is newer than all that the installed TensorFlow was built for. Its code is then
        compiled from an intermediate form by the driver; CUDA_CACHE_DISABLE=1 makes it so at every start. And a GPU that
        is older than all of it: code is never compiled for older ones.

    Why it matters:
        TensorFlow warns that this "could take 30 minutes or longer". Some such pairs crash afterwards. A GPU that is too
        old is not used at all.

    Example:
        GPU 0 (NVIDIA B200) has compute capability 10.0, and this TensorFlow holds code for 6.0 to 8.9 only: the rest
        is compiled at the first start, for up to half an hour.

    Fix:
        A newer TensorFlow, or NVIDIA's container of it, that is built for this GPU; an older one for an old GPU.

    When to ignore:
        If the second start is fast: the driver keeps what it has compiled, as long as its cache is large enough.
    """
    (gpus, packages), build = _facts(environment), environment.tensorflow_build
    if not gpus.gpus:
        return without_gpu(gpus, "no GPU can be asked")
    if build is None or not build.compute_capabilities:
        return skipped("this TensorFlow is not built for GPUs, or does not say for which")
    real = sorted(_capability(name) for name in build.compute_capabilities if name.startswith("sm_"))
    known = [gpu for gpu in gpus.gpus if gpu.compute_capability is not None]
    lacking = [gpu for gpu in known if not _has_code(gpu, real)]
    if not known or not real:
        return unknown("the compute capability of the GPU or of the code is not told")
    if not lacking:
        return ok(f"it holds code for compute capability {_dotted(known[0].compute_capability)}")
    gpu = lacking[0]
    if not _can_be_compiled(gpu, build):
        return found(_without_code(gpu, build, real))
    never_kept = (environment.variables or {}).get("CUDA_CACHE_DISABLE") == "1"
    when = "at every start (CUDA_CACHE_DISABLE=1)" if never_kept else "at the first start"
    message = (
        f"{gpu.title} has compute capability {_dotted(gpu.compute_capability)}, and this TensorFlow holds code for "
        f"{_dotted(real[0])} to {_dotted(real[-1])} only: the rest is compiled {when}, for up to half an hour."
    )
    lines = ("unset CUDA_CACHE_DISABLE",) if never_kept else (f"{packages.pip} install -U tensorflow",)
    text = "Let the driver keep what it compiles:" if never_kept else "Take a TensorFlow that is built for this GPU:"
    return found(
        Finding(
            code="KD203",
            severity=Severity.ERROR if never_kept else Severity.WARN,
            message=message,
            evidence=_evidence_of_code(gpu, build),
            remedy=Remedy(text, lines, safe=never_kept),
            numbers={"gpus": len(lacking)},
            price=Price.unknown("minutes at the start, nothing in an epoch"),
            references=(_PTX,),
        )
    )


@check("KD204", "outdated-driver", needs=("gpus", "tensorflow_build"))
def outdated_driver(environment: Environment) -> Answer:
    """The NVIDIA driver is older than the CUDA that TensorFlow was built with.

    What it finds:
        A driver that serves an older major version of CUDA than the installed TensorFlow needs. Within a major
        version, older drivers serve newer releases.

    Why it matters:
        CUDA does not start, and TensorFlow trains on the CPU.

    Example:
        The NVIDIA driver 470.82.01 serves CUDA 11.4 at most, and this TensorFlow needs CUDA 12.5: it cannot use the GPU.

    Fix:
        Update the driver (no other CUDA needs to be installed), or take a TensorFlow of an older CUDA.

    When to ignore:
        If NVIDIA's forward compatibility package is installed (cuda-compat, data centre GPUs only).
    """
    gpus, build = environment.gpus or GpuFacts(), environment.tensorflow_build
    if not gpus.is_there:
        return without_gpu(gpus, "there is no NVIDIA GPU")
    if build is None or build.cuda is None:
        return skipped("this TensorFlow needs no CUDA, or does not say which")
    if gpus.driver_cuda is None:
        return unknown(gpus.remark or "the driver does not say which CUDA it serves")
    serves = f"the driver {gpus.driver_version} serves CUDA {_dotted(gpus.driver_cuda)}"
    if not _driver_is_too_old(gpus, build):
        return ok(f"{serves}, TensorFlow needs {_dotted(build.cuda)}")
    message = (
        f"The NVIDIA driver {gpus.driver_version} serves CUDA {_dotted(gpus.driver_cuda)} at most, and this TensorFlow "
        f"needs CUDA {_dotted(build.cuda)}: it cannot use the GPU."
    )
    return found(
        Finding(
            code="KD204",
            severity=Severity.ERROR,
            message=message,
            evidence=(
                Evidence(serves, Provenance.DECLARED),
                Evidence(f"TensorFlow was built with CUDA {_dotted(build.cuda)}", Provenance.DECLARED),
            ),
            remedy=Remedy(
                f"Update the NVIDIA driver to one that serves CUDA {build.cuda[0]} (`nvidia-smi` shows what it serves). "
                "In a container, that is the driver of the host."
            ),
            numbers={"driver_cuda": gpus.driver_cuda[0], "needed_cuda": build.cuda[0]},
            price=_PRICE,
            references=(_COMPATIBILITY,),
        )
    )


def _facts(environment: Environment) -> tuple[GpuFacts, PackageFacts]:
    return environment.gpus or GpuFacts(), environment.packages or PackageFacts()


def _cause(environment: Environment, gpus: GpuFacts, packages: PackageFacts) -> tuple[str, Remedy] | None:
    """Why TensorFlow cannot see the GPU, as far as it shows without TensorFlow: the reason and the remedy."""
    name, version = packages.tensorflow or ("", "")
    build = environment.tensorflow_build
    if environment.system.name == "Windows" and version_matches(version, _NO_GPU_ON_WINDOWS):
        text = (
            "2.10 was the last with a GPU there. Use WSL 2 (Windows 10 build 19044 or newer) with tensorflow[and-cuda], or "
            "2.10 with Python 3.10 at most:"
        )
        return (
            "since 2.11 TensorFlow has no GPU support on native Windows",
            Remedy(text, (f'{packages.pip} install "tensorflow==2.10.1" "numpy<2"',), safe=False),
        )
    if name in _CPU_WHEELS or (build is not None and not build.is_cuda_build):
        extra = "[and-cuda]" if version_matches(version, _BRINGS_CUDA) else ""
        lines = (f"{packages.pip} uninstall {name}", f'{packages.pip} install "tensorflow{extra}=={version}"')
        return (
            f"{name} is made without GPU support",
            Remedy("Install the TensorFlow that has it:", lines, safe=False),
        )
    if gpus.visible_devices is not None and not gpus.gpus and gpus.hidden:
        return (
            f"CUDA_VISIBLE_DEVICES={gpus.visible_devices!r} hides it",
            Remedy("Show it:", ("unset CUDA_VISIBLE_DEVICES",), safe=True),
        )
    if gpus.is_silent:
        text = "See whether it answers at all. If not, restart the machine, or ask who looks after it:"
        return gpus.remark, Remedy(text, ("nvidia-smi",), safe=True)
    if not gpus.gpus and not gpus.hidden and gpus.cards:
        text = "Install or load the NVIDIA driver; in a container, start it with the GPUs:"
        line = "docker run --gpus all ..." if environment.system.is_container else "nvidia-smi"
        return gpus.remark or "no driver serves it", Remedy(text, (line,), safe=None)
    return None


def _unused(
    gpus: GpuFacts, packages: PackageFacts, why: str, remedy: Remedy, severity: Severity, *evidence_of_why: Evidence
) -> Finding:
    version = packages.tensorflow[1] if packages.tensorflow else ""
    what = gpus.gpus[0].title if gpus.gpus else "the NVIDIA GPU of this machine"
    if len(gpus.gpus) > 1:
        what += f" and {len(gpus.gpus) - 1} more"
    evidence = list(evidence_of_why)
    if gpus.driver_version:
        evidence.append(Evidence(f"the NVIDIA driver {gpus.driver_version} lists it", Provenance.DECLARED))
    elif gpus.cards:
        evidence.append(
            Evidence(f"the PCI bus lists {gpus.cards} NVIDIA GPU{'s' if gpus.cards > 1 else ''}", Provenance.DECLARED)
        )
    return Finding(
        code="KD201",
        severity=severity,
        message=f"TensorFlow {version} cannot use {what}: {why}.",
        evidence=tuple(evidence),
        remedy=remedy,
        numbers={"gpus": len(gpus.gpus) or gpus.hidden or gpus.cards or 0},
        price=_PRICE,
        references=(_PIP,),
    )


def _driver_is_too_old(gpus: GpuFacts, build: TensorFlowBuild | None) -> bool:
    return bool(build and build.cuda and gpus.driver_cuda and gpus.driver_cuda[0] < build.cuda[0])


def _has_code(gpu: GpuState, real: list[tuple[int, int]]) -> bool:
    """Machine code serves GPUs of its own major version and of the same or a higher minor one."""
    major, minor = gpu.compute_capability or (0, 0)
    return any(code[0] == major and code[1] <= minor for code in real)


def _can_be_compiled(gpu: GpuState, build: TensorFlowBuild) -> bool:
    """The intermediate form (PTX) serves GPUs of its own capability and of all later ones."""
    forms = (_capability(name) for name in build.compute_capabilities if name.startswith("compute_"))
    return any(form <= (gpu.compute_capability or (0, 0)) for form in forms)


def _without_code(gpu: GpuState, build: TensorFlowBuild, real: list[tuple[int, int]]) -> Finding:
    is_old = (gpu.compute_capability or (0, 0)) < real[0]
    which = "an older" if is_old else "a newer"
    return Finding(
        code="KD203",
        severity=Severity.ERROR,
        message=f"{gpu.title} has compute capability {_dotted(gpu.compute_capability)}, and this TensorFlow holds code for "
        f"{_dotted(real[0])} to {_dotted(real[-1])} only, none of which it could compile for it: it cannot use the GPU.",
        evidence=_evidence_of_code(gpu, build),
        remedy=Remedy(f"Take {which} TensorFlow that is built for this GPU, or NVIDIA's container of it."),
        numbers={"gpus": 1},
        price=_PRICE,
        references=(_PTX,),
    )


def _evidence_of_code(gpu: GpuState, build: TensorFlowBuild) -> tuple[Evidence, ...]:
    return (
        Evidence(f"built for {', '.join(build.compute_capabilities)}", Provenance.DECLARED),
        Evidence(f"the driver reports {_dotted(gpu.compute_capability)}", Provenance.DECLARED),
    )


def _capability(name: str) -> tuple[int, int]:
    digits = "".join(character for character in name if character.isdigit()) or "0"
    return int(digits[:-1] or 0), int(digits[-1])


def _dotted(version: tuple[int, int] | None) -> str:
    return "unknown" if version is None else f"{version[0]}.{version[1]}"
