"""The API does what its OpenAPI document says, whatever a generator of requests thinks of."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from psycopg.conninfo import make_conninfo
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from console.api.settings import from_environment
from tests.console.systems import Api, serving
from tests.scored_factory import CONTRACT, fleet, scored

EXAMPLES = 8
"""Of each operation, of sound requests and of others."""
OPERATIONS = [
    ("GET", "/alerts"),
    ("GET", "/decisions"),
    ("GET", "/model"),
    ("POST", "/check"),
    ("POST", "/decisions"),
    ("POST", "/score"),
]


@pytest.fixture(scope="module", name="api")
def _api(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE test_v1_schema")
        url = make_conninfo(postgres, dbname="test_v1_schema")
        line = scored(url, tmp_path_factory.mktemp("v1"), CONTRACT, fleet(200)[1])
        told = {"CLAIMSIGHT_DATABASE_URL": line.console_url, "CLAIMSIGHT_API_RATE": "1000000/second"}
        with serving(from_environment(line.environment() | told)) as api:
            yield api
        connection.execute("DROP DATABASE test_v1_schema WITH (FORCE)")


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_document_is_kept(api: Api, method: str, path: str, mode: GenerationMode) -> None:
    """Every answer has a status and a body that the document names, to sound requests and to others."""
    at = {"Host": "127.0.0.1"}
    document = schemathesis.openapi.from_asgi("/v1/openapi.json", api.app, headers=at)
    headers = {"Authorization": f"Bearer {api.key()}", **at}

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(document[path][method].as_strategy(generation_mode=mode))
    def kept(case: schemathesis.Case) -> None:
        case.call_and_validate(
            session=api.client,
            headers=headers,
            # That a text is a date or one of the levels the document says in words: what it lets pass may be refused.
            excluded_checks=[positive_data_acceptance],
        )

    kept()


def test_every_operation_is_tried(api: Api) -> None:
    """The document names what is tried here, and nothing else."""
    paths = api.client.get("/v1/openapi.json").json()["paths"]
    assert sorted((method.upper(), path) for path, methods in paths.items() for method in methods) == OPERATIONS
