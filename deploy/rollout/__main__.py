"""Roll releases out: ``python -m deploy.rollout VERB --env dev [--release ID] [--dry-run]``.

Ends with 0, with 78 if something has to be mended before anything is changed, and with 1 if AWS did not do what it was
asked.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.arguments import Parser
from shared.errors import ExitCode

from . import verbs
from .account import Account, RolloutError

# A rehearsal takes as long as a function may.
PATIENT = Config(read_timeout=910, retries={"mode": "standard", "total_max_attempts": 5})
VERBS = {
    "verify": "ask whether a release could be deployed",
    "diff": "show what it would change",
    "rollout": "verify it, deploy it, wait, tell the launcher; then the console",
    "wait": "wait for a roll-out that is under way",
    "rollback": "deploy the release that ran before",
    "status": "what runs, since when, from which commit, and what the newest release would change",
    "history": "all that ever ran",
    "smoke": "run each stage of what is deployed once",
    "provision": "make or update the stacks that releases need",
    "record": "make a release of pushed images",
    "promote": "copy a release from another environment",
    "login": "let docker push to the account's registry",
}


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; the exit code."""
    parser = Parser(prog="python -m deploy.rollout", description="Roll releases out.")
    parser.add_argument("verb", choices=VERBS, help="; ".join(f"{verb}: {purpose}" for verb, purpose in VERBS.items()))
    parser.add_argument("--env", required=True, choices=("dev", "staging", "prod"), help="which environment")
    parser.add_argument("--release", default="", metavar="ID", help="which release; the newest by default")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.add_argument("--without-codedeploy", action="store_true", help="where there is none: a local AWS")
    parser.add_argument("--tag", default="", help="record: that of the images")
    parser.add_argument("--git-sha", default="unknown", help="record: the commit they were built from")
    parser.add_argument("--from", dest="source", choices=("dev", "staging", "prod"), help="promote: where it is")
    parser.add_argument("--stacks", nargs="+", default=list(verbs.PROVISIONED), help="provision: which, in order")
    given = parser.parse_args(arguments)
    account = Account(given.env, _client)
    context = verbs.Context(account, dry_run=given.dry_run, code_deploy=not given.without_codedeploy)
    try:
        match given.verb:
            case "verify":
                verbs.check(context, given.release)
            case "diff" | "rollout":
                getattr(verbs, given.verb)(context, given.release)
            case "provision":
                verbs.provision(context, tuple(given.stacks))
            case "record":
                verbs.record(context, given.tag or parser.error("record needs --tag"), given.git_sha)
            case "promote":
                source = given.source or parser.error("promote needs --from")
                verbs.promote(context, Account(source, _client), given.release)
            case "login":
                registry, password = account.registry()
                command = ["docker", "login", "--username", "AWS", "--password-stdin", registry]
                subprocess.run(command, input=password, text=True, check=True, stdout=subprocess.DEVNULL)
                print(registry)
            case verb:
                getattr(verbs, verb)(context)
    except RolloutError as error:
        print(*(f"{given.verb}: {reason}" for reason in error.args), sep="\n", file=sys.stderr)
        return ExitCode.CONFIG if isinstance(error, verbs.NotVerifiedError) else ExitCode.CRASHED
    except (BotoCoreError, ClientError) as error:
        print(f"{given.verb}: {error}", file=sys.stderr)
        return ExitCode.CRASHED
    return ExitCode.OK


@cache
def _client(service: str) -> Any:
    return boto3.client(service, config=PATIENT)


if __name__ == "__main__":
    sys.exit(main())
