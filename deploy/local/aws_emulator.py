"""ministack with what it lacks of AWS for this work: started by ``deploy.local.aws`` as a process of its own.

It runs ECS tasks as containers, but not as Fargate does, and keeps silent about how they end; see each patch below. A
patch that finds nothing to patch ends it with a line that says so.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import hypercorn.config
from ministack import app
from ministack.core import container_reaper
from ministack.core.responses import error_response_json, get_region
from ministack.services import ecr, ecs, eventbridge, scheduler
from ministack.services.cloudformation import provisioners

BRIDGE = os.environ["LOCAL_AWS_BRIDGE"]
"""This machine's address on Docker's bridge, where containers reach the emulator; beside it, it listens on loopback."""
POSTGRES_IMAGE = os.environ["LOCAL_AWS_POSTGRES"]
PORT = os.environ["GATEWAY_PORT"]
START_SECONDS = 60
STOP_SECONDS = 30
"""That Fargate waits between SIGTERM and SIGKILL, as the templates have it."""
Json = dict[str, Any]


def patch(module: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function in the place of one of ministack's, which it gets as its first argument."""
    original = getattr(module, name, None)
    if original is None:
        raise SystemExit(
            f"ministack {version('ministack')} has no {module.__name__}.{name}: {__file__} was written for 1.5.33; "
            "pin that, or mend the patch"
        )

    def replace(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def patched(*given: Any, **named: Any) -> Any:
            return function(original, *given, **named)

        setattr(module, name, patched)
        actions = getattr(module, "_ACTION_MAP", {})
        actions.update({action: patched for action, handler in actions.items() if handler is original})
        return function

    return replace


def camel(value: Any) -> Any:
    """Keys as ECS's API has them, from those of CloudFormation."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: camel(item) for key, item in value.items()}
    return [camel(item) for item in value] if isinstance(value, list) else value


# --- ECS tells EventBridge what becomes of tasks


def _tell(original: Callable[..., bool], task_arn: str, task: Json, *rest: Any, **named: Any) -> bool:
    changed = original(task_arn, task, *rest, **named)
    if changed:
        entry = {
            "Source": "aws.ecs",
            "DetailType": "ECS Task State Change",
            "Detail": json.dumps(ecs._sanitize(task), default=str),
            "Resources": [task_arn],
        }
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
    return changed


patch(ecs, "_mark_task_running")(_tell)
patch(ecs, "_mark_task_stopped")(_tell)


# --- ECS starts no task twice for one token, and stops one politely

_started: dict[str, tuple[str, Any]] = {}


@patch(ecs, "_run_task")
def _run_once(original: Callable[[Json], Any], data: Json) -> Any:
    token = data.get("clientToken")
    asked = json.dumps({key: value for key, value in data.items() if key != "clientToken"}, sort_keys=True)
    if token is None or token not in _started:
        answer = original(data)
        if token is not None and answer[0] == 200:
            _started[token] = (asked, answer)
        return answer
    before, answer = _started[token]
    if before == asked:
        return answer
    return error_response_json("ConflictException", "The clientToken was used with other parameters.", 400)


@patch(ecs, "_stop_task")
def _stop_politely(original: Callable[[Json], Any], data: Json) -> Any:
    task = ecs._resolve_task(data.get("task", ""), ecs._resolve_cluster_name(data.get("cluster", "default")))
    for container in list(task["_docker_ids"]) if task else []:
        ecs._get_docker().containers.get(container).stop(timeout=STOP_SECONDS)
    if task:
        ecs._maybe_mark_stopped(task)  # with the container's own exit code
    return original(data)


# --- A container is what Fargate makes of it


@patch(ecs, "_register_metadata")
def _name_endpoint(original: Callable[..., str], *given: Any) -> str:
    token = original(*given)
    environment: dict[str, str] = given[5]
    # botocore takes credentials from loopback and from Fargate's own address only.
    for name in ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"):
        environment.pop(name)
    environment.update(
        AWS_ENDPOINT_URL=f"http://{BRIDGE}:{PORT}",  # by number, so that a bucket does not become part of a name
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_REGION=get_region(),
        AWS_DEFAULT_REGION=get_region(),
    )
    return token


@patch(ecs, "_build_run_kwargs")
def _shut_in(original: Callable[..., Json], container: Json, definition: Json, *rest: Any) -> Json:
    options = original(container, definition, *rest)
    linux = container.get("linuxParameters", {})
    options.update(
        nano_cpus=min(int(definition["cpu"]) * 10**9 // 1024, (os.cpu_count() or 1) * 10**9),
        mem_limit=f"{definition['memory']}m",
        memswap_limit=f"{definition['memory']}m",
        init=bool(linux.get("initProcessEnabled")),
        read_only=bool(container.get("readonlyRootFilesystem")),
        cap_drop=linux.get("capabilities", {}).get("drop", []),
        tmpfs={mount["containerPath"]: "mode=1777" for mount in container.get("mountPoints", ())},
    )
    if container.get("user"):
        options["user"] = container["user"]
    if container.get("entryPoint"):
        options["entrypoint"] = container["entryPoint"]
    return options


# --- CloudFormation drops none of a container's settings, and its database is one


@patch(provisioners, "_normalize_container_defs")
def _keep_settings(original: Callable[[list[Json]], list[Json]], definitions: list[Json]) -> list[Json]:
    nested = ("Secrets", "HealthCheck", "DependsOn", "Ulimits", "LinuxParameters")
    kept = [{key[:1].lower() + key[1:]: camel(raw[key]) for key in nested if key in raw} for raw in definitions]
    return [known | added for known, added in zip(original(definitions), kept, strict=True)]


def _database(create: Callable[..., Any], logical_id: str, properties: Json, stack: str) -> Any:
    """A real Postgres beside ministack's record of one; the container has an address on the bridge and no port."""
    identity, attributes = create(logical_id, properties, stack)
    server = ecs._get_docker().containers.run(
        POSTGRES_IMAGE,
        detach=True,
        environment={
            "POSTGRES_USER": properties["MasterUsername"],
            "POSTGRES_PASSWORD": properties["MasterUserPassword"],
            "POSTGRES_DB": properties["DBName"],
        },
        labels={**container_reaper.own_labels("rds"), "claimsight.database": identity},
        read_only=True,
        tmpfs={"/tmp": "mode=1777", "/data": "uid=10001,gid=10001,mode=0700"},
        init=True,
    )
    deadline = time.monotonic() + START_SECONDS
    while b"ready to accept connections" not in server.logs():
        if time.monotonic() > deadline:
            raise ValueError("the database's container does not start")
        time.sleep(0.1)
    server.reload()
    address = server.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    return identity, attributes | {"Endpoint.Address": address, "Endpoint.Port": "5432"}


def _drop_database(delete: Callable[..., Any], identity: str, properties: Json) -> Any:
    for server in ecs._get_docker().containers.list(all=True, filters={"label": f"claimsight.database={identity}"}):
        server.remove(force=True, v=True)
    return delete(identity, properties)


_instance = provisioners._RESOURCE_HANDLERS["AWS::RDS::DBInstance"]
_instance["create"] = functools.partial(_database, _instance["create"])
_instance["delete"] = functools.partial(_drop_database, _instance["delete"])


# --- An image is named by where the engine can pull it


@patch(ecr, "_repo_uri")
def _name_registry(_: Callable[[str], str], repository: str) -> str:
    return f"127.0.0.1:{PORT}/{repository}"


# --- The scheduler says for when it fires

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


@patch(eventbridge, "_invoke_target")
def _name_time(original: Callable[..., Any], target: Json, event: Json, rule: Json, *rest: Any) -> Any:
    if SCHEDULED_TIME in target.get("Input", ""):
        moment = datetime.fromtimestamp(event["Time"], UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        target = target | {"Input": target["Input"].replace(SCHEDULED_TIME, moment)}
    return original(target, event, rule, *rest)


scheduler._SCHEDULE_TICK_INTERVAL = 1  # seconds


# --- It listens on loopback and on Docker's bridge, and nowhere else


@patch(hypercorn.config.Config, "create_sockets")
def _listen(original: Callable[..., Any], config: Any) -> Any:
    config.bind = [f"{host}:{PORT}" for host in ("127.0.0.1", BRIDGE)]
    return original(config)


if __name__ == "__main__":
    app.main()
