"""What each stage's image weighs above its base, and what its start costs in CPU: a stage is paid for by the second.

The base is the Python image that all five start from. A start is ``--check`` without its database, so with all that it
imports before it connects, and after that the modules of the work itself, which are loaded late.
"""

from __future__ import annotations

import os
import statistics
import subprocess

from deploy.benchmarks.figure import Figure, MissingPartError
from shared.choreography import Stage

TRIALS = 5
MB = 1e6
BASE = "org.opencontainers.image.base.name"
"""Label with the name of the base."""
BUDGETS: dict[Stage, tuple[float, float]] = {
    "etl": (240, 1.0),
    "drift": (300, 1.5),
    "score": (450, 1.5),
    "train": (650, 4.0),
    "evaluate": (650, 4.0),
}
"""MB above the base, CPU seconds."""
LATE: dict[Stage, tuple[str, ...]] = {
    "etl": (),
    "drift": ("xgboost",),
    "score": ("xgboost",),
    "train": ("xgboost", "sklearn.linear_model", "mlflow", "mlflow.store.tracking.sqlalchemy_store"),
    "evaluate": ("xgboost", "mlflow", "mlflow.store.tracking.sqlalchemy_store"),
}
"""What a stage imports only when it has work to do, beside its own modules."""
START = """
import importlib, pathlib, resource, sys
stage, *late = sys.argv[1:]
modules = [path.stem for path in sorted(pathlib.Path(f"/app/jobs/{stage}").glob("*.py"))]
for name in [*(f"jobs.{stage}.{module}" for module in modules), *late]:
    importlib.import_module(name)
usage = resource.getrusage(resource.RUSAGE_SELF)
print(usage.ru_utime + usage.ru_stime)
"""


def measure() -> list[Figure]:
    """Weigh the images that `make images` built, and start each in a container as it runs on AWS.

    Raises
    ------
    MissingPartError
        There is no engine, or it has not all of the images.
    """
    sizes = {stage: _bytes(_image(stage)) for stage in BUDGETS}
    base = _bytes(_inspect(_image("etl"), f'{{{{index .Config.Labels "{BASE}"}}}}'))
    starts = [{stage: _start(stage) for stage in BUDGETS} for _ in range(TRIALS)]
    figures = [Figure("base", base / MB, "MB", "size of the Python image that the five start from")]
    for stage, (megabytes, seconds) in BUDGETS.items():
        size = (sizes[stage] - base) / MB
        cpu = statistics.median(start[stage] for start in starts)
        each = f"user and system time to import all of {stage}, median of {TRIALS}, the stages in turns"
        figures += [
            Figure(f"{stage}_size", size, "MB", "size of the image less the base", goal=megabytes, at_most=True),
            Figure(f"{stage}_start", cpu, "CPU s", each, goal=seconds, at_most=True),
        ]
    return figures


def _image(stage: Stage) -> str:
    registry = os.environ.get("REGISTRY", "")
    return f"{registry}{'/' if registry else ''}claimsight/{stage}:{os.environ.get('TAG') or 'dev'}"


def _inspect(image: str, template: str) -> str:
    return _docker("image", "inspect", "--format", template, image).strip()


def _bytes(image: str) -> int:
    return int(_inspect(image, "{{.Size}}"))


def _start(stage: Stage) -> float:
    """CPU seconds of one start."""
    sandbox = ("--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--entrypoint=python")
    return float(_docker("run", *sandbox, _image(stage), "-c", START, stage, *LATE[stage]))


def _docker(*arguments: str) -> str:
    ran = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    if ran.returncode != 0:
        raise MissingPartError(f"docker {arguments[0]}: {ran.stderr.strip()}; run make bench-images")
    return ran.stdout
