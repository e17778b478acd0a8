"""The API does what its OpenAPI document says, whatever a generator of requests thinks of."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from psycopg.conninfo import make_conninfo

from console.api.settings import from_environment
from tests.console.systems import Api, serving
from tests.scored_factory import CONTRACT, fleet, scored

EXAMPLES = 25
"""Of each operation."""


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


@pytest.fixture(name="document")
def _document(api: Api) -> object:
    return schemathesis.openapi.from_asgi("/v1/openapi.json", api.app)


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_the_document_is_kept(case: schemathesis.Case, api: Api) -> None:
    """Every answer has a status and a body that the document names, to sound requests and to others."""
    system = api.system()
    # That a value is a date or one of the levels the contract says in words, so what the document lets pass may be refused.
    case.call_and_validate(
        session=system,
        headers=dict(system.headers),
        excluded_checks=[schemathesis.checks.positive_data_acceptance],
    )
