"""How fast a store is written, against nothing but decoding and resizing on all cores.

    python tests/benchmarks/conversion.py DATA_DIR [--rows 8000] [--rounds 3] [--to DIR]

Rows are links to the images of DATA_DIR, so they are read from the page cache. Pure decoding runs before
and after each conversion; the conversion's time is the one it reports, without finding and sampling.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from repair.stores import load_with_pillow

from kerasdiag.environment.cores import usable_cores
from kerasdiag.repair.conversion.loader import load_bytes
from kerasdiag.repair.conversion.prepare import prepare_store
from kerasdiag.repair.pixel_store.sources import find_sources
from kerasdiag.spec import LoaderOptions

LOADER = LoaderOptions("rgb", (300, 300))
TARGET = 0.9


def decode(paths):
    """Decode and resize, one share of the files; runs in a process of its own."""
    load_bytes(Path(paths[0]).read_bytes(), LOADER)
    print("READY", flush=True)
    sys.stdin.readline()
    for path in paths:
        load_bytes(Path(path).read_bytes(), LOADER)


def pure_rate(folder, count):
    cores = usable_cores()
    command = [sys.executable, __file__, str(folder), "--share"]
    children = [
        subprocess.Popen([*command, str(share), str(cores)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for share in range(cores)
    ]
    for child in children:
        child.stdout.readline()
    started = time.perf_counter()
    for child in children:
        child.stdin.write(b"\n")
        child.stdin.flush()
    for child in children:
        child.wait()
    return count / (time.perf_counter() - started)


def conversion_rate(folder, paths, target):
    prepared = prepare_store(
        find_sources(paths, str(folder)), LOADER, stores_dir=target / "stores", chosen_dir=True,
        generator_load=load_with_pillow(LOADER), verbose=0,
    )  # fmt: skip
    assert prepared.converted == len(paths)
    shutil.rmtree(target)
    return len(paths) / prepared.seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--to", type=Path, help="directory on the disk to write to (default: the temporary one)")
    parser.add_argument("--share", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.share:
        first, step = arguments.share
        decode(sorted(map(str, arguments.data.iterdir()))[first::step])
        return 0
    images = sorted(path.resolve() for path in arguments.data.iterdir() if path.is_file())
    ratios = []
    with tempfile.TemporaryDirectory() as links, tempfile.TemporaryDirectory(dir=arguments.to) as target:
        for number in range(arguments.rows):
            source = images[number % len(images)]
            (Path(links) / f"{number:06}{source.suffix}").symlink_to(source)
        paths = sorted(map(str, Path(links).iterdir()))
        for _ in range(arguments.rounds):
            before = pure_rate(links, len(paths))
            rate = conversion_rate(links, paths, Path(target, "cache"))
            pure = (before + pure_rate(links, len(paths))) / 2
            ratios.append(rate / pure)
            print(f"  decode and resize {pure:7,.0f} images/s   conversion {rate:7,.0f} images/s   {ratios[-1]:.2f}")
    ratio = statistics.median(ratios)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"  median {ratio:.2f}, target {TARGET}: {'met' if ratio >= TARGET else 'MISSED'}; largest child {memory:.0f} MiB"
    )
    return ratio < TARGET


if __name__ == "__main__":
    sys.exit(main())
