"""The check of a new console: it scores known claims before people get it, and has to find what the batch found.

CodeDeploy calls `handle` once the test listener leads to the new console. That function talks to AWS and judges, and is
in no VPC. `ask`, which it calls, is in the VPC and connects to the load balancer alone. So neither needs a way out.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPSConnection
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PATH = "/v1/check"
"""Where a console scores claims again that the batch scored last: ``POST``, with the check's key as a bearer token."""
TOLERANCE = 1e-6
"""How far a probability may be from the batch's."""
PATIENCE = 180.0
"""Seconds in which the console asked for has to answer: a listener takes some to lead elsewhere."""
POLL = 3.0
"""Seconds between two questions."""
ANSWER_SECONDS = 30.0
PATIENT = Config(read_timeout=250, retries={"total_max_attempts": 1})
"""Longer than the probe may take, which is called once."""
AWAKE_SECONDS = 300.0
"""In which Lambda has to have put the probe into the VPC again: one that nobody called for weeks is taken out."""
ASLEEP = ("ResourceConflictException", "ResourceNotReadyException")


def judge(answer: Mapping[str, Any]) -> list[str]:
    """What is wrong with what a console answered.

    Parameters
    ----------
    answer : Mapping
        ``compared``, how many claims the console has scored once more, and ``largest_difference`` of a probability from
        the batch's; none where no model was promoted yet, or where it has scored nothing yet.

    Returns
    -------
    list of str
        None if all is well. A claim is not named: nothing of one is known here.

    >>> judge({"compared": 20, "largest_difference": 0.25})
    ['of 20 claims one is scored otherwise than by the batch, by 0.25']
    >>> judge({"compared": 0, "largest_difference": None})
    []
    """
    compared, difference = int(answer["compared"]), answer["largest_difference"]
    if not compared or difference <= TOLERANCE:
        return []
    return [f"of {compared} claims one is scored otherwise than by the batch, by {difference:g}"]


def handle(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Check the console that the test listener leads to, and report to CodeDeploy if it asked.

    Returns
    -------
    dict
        ``status``, ``Succeeded`` or ``Failed``, and ``problems``, one sentence each.
    """
    try:
        answer = _asked(os.environ)
        problems = [answer["problem"]] if "problem" in answer else judge(answer)
        if not problems:
            print(f"model {answer['model_version']}: {answer['compared']} claims are scored as by the batch")
    except Exception as error:  # whatever it is, the deployment must not wait an hour for an answer
        problems = [f"{type(error).__name__}: {error}"]
    status = "Failed" if problems else "Succeeded"
    for problem in problems:
        print(problem)
    if "DeploymentId" in event:
        boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
            deploymentId=event["DeploymentId"],
            lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
            status=status,
        )
    return {"status": status, "problems": problems}


def _asked(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the probe was answered."""
    found = boto3.client("ec2").describe_network_interfaces(
        Filters=[{"Name": "description", "Values": [f"ELB {environment['LOAD_BALANCER']}"]}]
    )
    # By name it would be asked from outside, where it faces the internet; these addresses are within the VPC.
    addresses = [interface["PrivateIpAddress"] for interface in found["NetworkInterfaces"]]
    if not addresses:
        return {"problem": f"load balancer {environment['LOAD_BALANCER']} has no address"}
    question = {
        "address": addresses[0],
        "port": int(environment["PORT"]),
        "domain": environment["DOMAIN"],
        "image_digest": environment["IMAGE_DIGEST"],
        "key": boto3.client("secretsmanager").get_secret_value(SecretId=environment["CHECK_KEY"])["SecretString"],
    }
    said = _called(boto3.client("lambda", config=PATIENT), environment["PROBE"], question)
    answer: dict[str, Any] = json.loads(said["Payload"].read())
    return {"problem": f"the probe crashed: {answer.get('errorMessage')}"} if "FunctionError" in said else answer


def _called(functions: Any, probe: str, question: Mapping[str, Any]) -> Any:
    deadline = time.monotonic() + AWAKE_SECONDS
    while True:
        try:
            return functions.invoke(FunctionName=probe, Payload=json.dumps(question).encode())
        except ClientError as error:
            if error.response["Error"]["Code"] not in ASLEEP or time.monotonic() > deadline:
                raise
        time.sleep(POLL)


def ask(question: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Ask the console, until the one asked for answers.

    Parameters
    ----------
    question : Mapping
        ``address`` and ``port`` to connect to, ``domain`` that the certificate has to be for, ``key``, and
        ``image_digest`` of the console that is to answer: for a while the other one still may.

    Returns
    -------
    dict
        What it answered, or ``problem``.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            status, body = _post(question)
            if status == 200:
                answer: dict[str, Any] = json.loads(body)
                if answer["image_digest"] == question["image_digest"]:
                    return answer
                problem = "another console answers than the one to be checked"
            else:
                problem = f"the console answers {PATH} with {status}"
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            problem = f"the console does not answer {PATH}: {type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            return {"problem": problem}
        time.sleep(POLL)


def _post(question: Mapping[str, Any]) -> tuple[int, bytes]:
    connection = _Connection(question["address"], question["port"], question["domain"])
    try:
        connection.request(
            "POST",
            PATH,
            headers={"Host": question["domain"], "Authorization": f"Bearer {question['key']}"},
        )
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class _Connection(HTTPSConnection):
    """TLS to an address, whose certificate is for a domain."""

    def __init__(self, address: str, port: int, domain: str) -> None:
        super().__init__(address, port, timeout=ANSWER_SECONDS)
        self._domain = domain

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self._domain)
