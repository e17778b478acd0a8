"""What the images are made of, and what they do before there is anything to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from shared.choreography import Stage
from tests import factories
from tests.container.conftest import (
    IMAGES,
    PASSWORD,
    PROGRAMS,
    STAGES,
    STOP_SECONDS,
    UID,
    Ended,
    Engine,
    Place,
    furnished,
    only,
    until,
)

ROOT = Path(__file__).parents[2]
PROBE = """
import importlib.util, json, os, shutil, stat, subprocess, sys
from pathlib import Path
tools = '''pip pip3 easy_install uv conda apt apt-get aptitude dpkg dpkg-deb yum apk cc gcc g++ c++ clang tcc as ld make
    curl wget git sudo'''.split()
modules = ['pip', 'ensurepip', 'setuptools', 'wheel', 'pytest', 'hypothesis', 'deploy', 'tests']
def writable(place):
    try:
        (Path(place) / 'probe').write_text('')
    except OSError:
        return False
    return True
found = {'installers': [], 'privileged': [], 'secrets': [], 'sources': [], 'tests': [], 'open': []}
for folder, folders, files in os.walk('/', onerror=lambda error: None):
    if folder in ('/proc', '/sys', '/dev'):
        folders.clear()
        continue
    for name in folders:
        if name in ('ensurepip', 'setuptools', 'pip', '.git') or name.startswith(('pip-', 'setuptools-')):
            found['installers'].append(folder + '/' + name)
        path = Path(folder, name)
        if not path.is_symlink() and path.stat().st_mode & stat.S_IWOTH and str(path) not in ('/proc', '/tmp', '/dev'):
            found['open'].append(str(path))
    for name in files:
        path = Path(folder, name)
        if name.startswith('pip') and name.endswith('.whl'):
            found['installers'].append(str(path))
        if name in ('pip.conf', '.env', '.netrc', 'pgpass', '.pgpass', 'ca-bundle') or 'run/secrets' in folder:
            found['secrets'].append(str(path))
        if not path.is_symlink() and path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
            found['privileged'].append(str(path))
        if name.startswith('test_') and folder.startswith('/app'):
            found['tests'].append(str(path))
system = subprocess.run(['/usr/bin/env', '-i', 'PATH=/usr/local/bin:/usr/bin:/bin', 'python3', '-c',
    'import importlib.util as u, sys; print([m for m in sys.argv[1:] if u.find_spec(m)])', *modules],
    capture_output=True, text=True, check=True).stdout.strip()
print(json.dumps(found | {
    'ids': [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()],
    'tools': [tool for tool in tools if shutil.which(tool)],
    'modules': [name for name in modules if importlib.util.find_spec(name)],
    'system modules': system,
    'app': sorted(path.name for path in Path('/app').iterdir()),
    'jobs': sorted(path.name for path in Path('/app/jobs').glob('*') if path.is_dir() and path.name != '__pycache__'),
    'uncompiled': [str(p) for p in Path('/app').rglob('*.py')
        if not Path(importlib.util.cache_from_source(str(p))).exists()],
    'writable': [place for place in '/ /app /opt/venv /etc /home /var /usr /tmp'.split() if writable(place)],
    'capabilities': [line.split()[1] for line in open('/proc/self/status') if line.startswith('CapEff')],
}))
"""
every_stage = pytest.mark.parametrize("stage", STAGES)
every_program = pytest.mark.parametrize("program", PROGRAMS)
every_image = pytest.mark.parametrize("name", IMAGES)


@pytest.fixture(scope="module")
def probed(engine: Engine) -> Any:
    """Look into each image once."""
    return cache(lambda stage: engine.inside(stage, PROBE))


@pytest.fixture(scope="module")
def prepared(engine: Engine, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place with a database, for runs that change nothing."""
    folder = tmp_path_factory.mktemp("prepared")
    with furnished(engine, folder, factories.emptied(postgres, "prepared"), factories.MOTOR) as place:
        yield place


@every_program
def test_runs_as_nobody_in_particular(engine: Engine, probed: Any, program: str) -> None:
    """Each runs as user and group 10001, without rights, and no program in its image could give it any."""
    assert engine.images[program].attrs["Config"]["User"] == f"{UID}:{UID}"
    assert probed(program)["ids"][:3] == [UID, UID, UID]
    assert set(probed(program)["ids"][3]) <= {UID}
    assert probed(program)["privileged"] == []
    assert int(only(probed(program)["capabilities"]), 16) == 0


@every_program
def test_holds_no_installer_and_no_compiler(probed: Any, program: str) -> None:
    """An image has neither pip nor apt nor a compiler, for its own Python or for the system's."""
    found = probed(program)
    assert (found["tools"], found["modules"], found["system modules"]) == ([], [], "[]")
    assert found["installers"] == []


@every_stage
def test_holds_its_own_code_only(probed: Any, stage: Stage) -> None:
    """An image has the contracts, what is shared and its own stage, all compiled; no tests, no other stage."""
    found = probed(stage)
    assert found["app"] == ["contracts", "jobs", "shared"]
    assert found["jobs"] == [stage]
    assert (found["tests"], found["uncompiled"]) == ([], [])


def test_the_console_holds_no_stage(probed: Any) -> None:
    """The console has the contracts, what is shared, its own code and pages; none of the stages, no test."""
    found = probed("console")
    assert found["app"] == ["console", "contracts", "shared"]
    assert (found["tests"], found["uncompiled"]) == ([], [])


def test_the_console_serves_its_pages(engine: Engine, prepared: Place) -> None:
    """It answers once it runs, with the pages that were built, and stops when it is told to."""
    prepared.prepare()
    container = engine.start("console", place=prepared)
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8400{}', timeout=2).read().decode())"

    def said(path: str) -> str:
        return str(container.exec_run(["python", "-c", ask.format(path)]).output.decode())

    until(lambda: '"ok"' in said("/healthz"))
    assert "<title>Claimsight</title>" in said("/")
    seconds, ended = engine.stop(container)
    assert (seconds < STOP_SECONDS, ended.code) == (True, 143)


@every_program
def test_writes_to_tmp_only(probed: Any, program: str) -> None:
    """With a read-only root /tmp can be written to and nothing else, and nothing else is open to all."""
    assert probed(program)["writable"] == ["/tmp"]
    assert set(probed(program)["open"]) <= {"/var/tmp", "/run/lock", "/dev/shm", "/dev/mqueue"}


@every_image
def test_says_what_it_is(engine: Engine, name: str) -> None:
    """Each image says by OCI labels what it is, of which code, when made, from where and on what base."""
    labels = engine.images[name].labels
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}title"] == f"claimsight-{name}"
    assert labels[f"{prefix}revision"]
    assert labels[f"{prefix}base.name"]
    assert {f"{prefix}created", f"{prefix}source"} <= labels.keys()


@every_image
def test_holds_no_secret(engine: Engine, name: str) -> None:
    """Neither settings nor history nor files of an image hold a password, a key or where packages came from."""
    image = engine.images[name]
    said = json.dumps([image.attrs["Config"], image.history()]).lower()
    assert not [word for word in ("password=", "token=", "secret=", "aws_", "://", "begin cert") if word in said]
    assert not [entry for entry in image.attrs["Config"]["Env"] if "PASSWORD" in entry or "DATABASE_URL" in entry]


@every_program
def test_keeps_no_build_secret(probed: Any, program: str) -> None:
    """What the build was told in secret is in no file of the image."""
    assert probed(program)["secrets"] == []


@pytest.fixture(scope="module")
def helped(engine: Engine) -> dict[str, Ended]:
    return engine.run_each(STAGES, "--help", network="none")


@every_stage
def test_help(helped: dict[str, Ended], stage: Stage) -> None:
    """`docker run IMAGE --help` says what the stage does, what it takes and where settings are explained, with 0."""
    ended = helped[stage]
    assert ended.code == 0
    assert {"usage:", f"jobs.{stage}", "--check", ".env.example"} <= set(ended.text.replace(";", " ").split())
    assert len(ended.text.splitlines()) > 5


def test_wrong_argument(engine: Engine) -> None:
    """An argument that the stage does not know ends it with 2; the shell that starts it leaves its spaces alone."""
    ended = engine.run("etl", "--chek  $HOME", network="none")
    assert ended.code == 2
    assert "--chek  $HOME" in ended.text


@pytest.fixture(scope="module")
def checked(engine: Engine, prepared: Place) -> dict[str, Ended]:
    return engine.run_each(STAGES, "--check", place=prepared)


@every_stage
def test_check_with_a_database(prepared: Place, checked: dict[str, Ended], stage: Stage) -> None:
    """`--check` ends with 0 and one line where settings, contract and database are in order, and enters no run."""
    ended = checked[stage]
    assert (ended.code, len(ended.log)) == (0, 1)
    assert (ended.closing["stage"], ended.closing["status"]) == (stage, "done")
    assert prepared.rows("SELECT count(*) FROM claimsight.job_runs") == [(0,)]


@pytest.fixture(scope="module")
def unset(engine: Engine) -> dict[str, Ended]:
    return engine.run_each(STAGES, "--check", network="none")


@every_stage
def test_check_without_settings(unset: dict[str, Ended], stage: Stage) -> None:
    """`--check` without settings ends with 78 and one line that names all that are missing."""
    ended = unset[stage]
    assert (ended.code, len(ended.log)) == (78, 1)
    named = ("CONTRACT", "DATABASE_URL", "DROP", "EVENTS", "ARTIFACTS")
    assert all(f"CLAIMSIGHT_{name} is not set" in ended.closing["message"] for name in named)
    assert "MLFLOW_TRACKING_URI is not set" in ended.closing["message"]


def assert_one_failure(ended: Ended, code: int) -> None:
    """Hold a run to one error; before it, attempts may have been told."""
    *attempts, closing = ended.log
    assert (ended.code, closing["exit_code"], closing["status"]) == (code, code, "failed")
    assert {record["level"] for record in attempts} <= {"warning"}
    assert "traceback" not in closing


@pytest.fixture(scope="module")
def alone(engine: Engine, prepared: Place) -> dict[str, Ended]:
    nobody = {"CLAIMSIGHT_DATABASE_URL": f"postgresql://postgres:{PASSWORD}@database:1/postgres"}
    return engine.run_each(STAGES, "--check", place=prepared, environment=nobody)


@every_stage
def test_check_without_a_database(alone: dict[str, Ended], stage: Stage) -> None:
    """`--check` with nobody at the database's address ends with 75 and one error, after a few attempts."""
    assert_one_failure(alone[stage], 75)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"postgresql://postgres:not-{PASSWORD}@database:5432/postgres", 78),
        (f"postgresql://postgres:{PASSWORD}@nowhere.invalid:5432/postgres", 75),
        (f"postgresql://postgres:{PASSWORD}@database:5432/nowhere", 78),
        (f"no url {PASSWORD}", 78),
    ],
    ids=["password", "host", "database", "no URL"],
)
def test_refused_by_the_database(engine: Engine, prepared: Place, url: str, code: int) -> None:
    """A wrong password, host, database or URL ends in one error, that does not repeat the password."""
    ended = engine.run("etl", "--check", place=prepared, environment={"CLAIMSIGHT_DATABASE_URL": url})
    assert_one_failure(ended, code)
    assert PASSWORD not in ended.text


@pytest.mark.parametrize("contract", sorted(path.name for path in (ROOT / "contracts").glob("*.toml")))
def test_contracts_of_the_repository(engine: Engine, prepared: Place, contract: str) -> None:
    """Each contract of the repository can be named as it is in the clone, relative to where the image works."""
    named = {"CLAIMSIGHT_CONTRACT": f"contracts/{contract}"}
    ended = engine.run("etl", "--check", place=prepared, environment=named)
    assert (ended.code, ended.closing["status"]) == (0, "done"), ended.text
