"""The numeric suites under other processors' kernels: each setting in processes of its own, and a table at the end.

Torch, MKL and OpenBLAS choose their kernels by the processor. These variables make them choose as another one would, as
far as this one can run it; what a suite says must not hang on it. Ends with status 1 if a setting fails.

Run: python tests/kernels.py [--short] [--workers 2]
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUITES = (
    "contracts",
    "balance",
    "parity",
    "metrics",
    "nn",
    "sharing",
    "tasks",
    "training/test_extend.py",
    "reliability",
    "inference",
    "insight/quality",
    "insight/diagnosis/test_after_training.py",
    "sklearn_estimators",
)
SHORT_SUITES = (
    "contracts/test_gramian_contract.py",
    "balance/gradients",
    "balance/solvers",
    "training/test_extend.py",
    "inference/test_calibration.py",
    "insight/quality",
)
EXTENDED = "training/test_extend.py::test_the_weights_of_what_a_run_knows_stay_to_the_bit_and_new_tasks_learn"
SETTINGS: dict[str, dict[str, str]] = {
    "as it is": {},
    "plain kernels": {"ATEN_CPU_CAPABILITY": "default"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "MKL for any processor": {"MKL_CBWR": "COMPATIBLE"},
    "OpenBLAS for Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "OpenBLAS for Nehalem, SSE4": {"OPENBLAS_CORETYPE": "Nehalem", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "two threads": {"TRUNKLINE_TEST_THREADS": "2", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
}
SHORT: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "plain kernels, OpenBLAS for Haswell": (SETTINGS["plain kernels"] | SETTINGS["OpenBLAS for Haswell"], SHORT_SUITES),
    "AVX2, MKL for any processor": (SETTINGS["AVX2"] | SETTINGS["MKL for any processor"], SHORT_SUITES),
    "two threads": (SETTINGS["two threads"], ("balance/solvers", EXTENDED)),
}


def run(settings: dict[str, str], suites: tuple[str, ...], workers: int) -> tuple[int, str, float]:
    """Exit status, pytest's last line, seconds."""
    began = time.perf_counter()
    paths = [str(ROOT / "tests" / suite) for suite in suites]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *paths,
        "-p",
        "no:cacheprovider",
        "-n",
        str(workers),
        "--dist",
        "worksteal",
    ]
    done = subprocess.run(
        [*command, "-o", "addopts="], cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing was printed"]
    if done.returncode:
        print("\n".join(line for line in lines if re.match("(FAILED|ERROR|E  )", line)), flush=True)
    return done.returncode, lines[-1].strip("= "), time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--short", action="store_true", help="fewer settings, and the suites most of which are arithmetic"
    )
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    work = SHORT if asked.short else {name: (variables, SUITES) for name, variables in SETTINGS.items()}
    failed = False
    for name, (variables, suites) in work.items():
        status, line, seconds = run(variables, suites, asked.workers)
        failed |= status != 0
        print(f"{name:42}{line:60}{seconds:6.0f} s", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
