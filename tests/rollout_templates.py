"""Templates with as much as a roll-out looks at, so that its tests are about the roll-out alone; a commit with them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from shared.choreography import RULES, STAGES
from tests.buildspec import environment_of
from tests.s3 import S3

ROOT = Path(__file__).parents[1]

PARAMETERS = json.dumps({"Parameters": {"Lines": "demo", "ForAnother": "1"}, "Tags": {"project": "claimsight"}})


def _schedules() -> str:
    return "".join(
        f"""
  {rule.event}:
    Type: AWS::Scheduler::Schedule
    Properties:
      Name: claimsight-dev-{rule.event}
      ScheduleExpression: rate({int(rule.every.total_seconds() // 3600)} {"hour" if rule.every.days == 0 else "hours"})
      FlexibleTimeWindow: {{Mode: 'OFF'}}
      Target: {{Arn: !Ref LauncherAlias, RoleArn: !GetAtt Role.Arn, Input: '{{"detail-type": "{rule.event}"}}'}}"""
        for rule in RULES
        if rule.every
    )


DATA = """
Parameters:
  Environment: {Type: String}
  ConsoleCidr: {Type: String, Default: ''}
Resources:
  ArtifactBucket: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub 'claimsight-${Environment}-artifacts'}}
  Login: {Type: AWS::SecretsManager::Secret, Properties: {Name: login, GenerateSecretString: {}}}
""" + "".join(
    f"""
  {stage.title()}Repository:
    Type: AWS::ECR::Repository
    Properties: {{RepositoryName: !Sub 'claimsight-${{Environment}}/{stage}'}}"""
    for stage in (*STAGES, "console", "mlflow")
)
DATA += """
Outputs:
  ArtifactBucket: {Value: !Ref ArtifactBucket}
  Login: {Value: !GetAtt Login.Id}
"""

JOBS = f"""
Parameters:
  Environment: {{Type: String}}
  Release: {{Type: String}}
  Lines: {{Type: String, Default: demo}}
  Spot: {{Type: String, Default: '1'}}
  LauncherBucket: {{Type: String}}
  LauncherKey: {{Type: String}}
{"".join(f"  Image{stage.title()}: {{Type: String}}" + chr(10) for stage in STAGES)}
Resources:
  Bus: {{Type: AWS::Events::EventBus, Properties: {{Name: !Sub 'claimsight-${{Environment}}'}}}}
  Log: {{Type: AWS::Logs::LogGroup, Properties: {{LogGroupName: /claimsight/dev/etl}}}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      RoleName: claimsight-dev-role
      AssumeRolePolicyDocument:
        Version: '2012-10-17'
        Statement: [{{Effect: Allow, Principal: {{Service: lambda.amazonaws.com}}, Action: 'sts:AssumeRole'}}]
  EtlTask:
    Type: AWS::ECS::TaskDefinition
    Properties:
      Family: claimsight-dev-etl
      ContainerDefinitions: [{{Name: etl, Image: !Ref ImageEtl}}]
  Launcher:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: !Sub 'claimsight-${{Environment}}-launcher'
      Runtime: python3.11
      Handler: launcher.main.handle
      Role: !GetAtt Role.Arn
      Code: {{S3Bucket: !Ref LauncherBucket, S3Key: !Ref LauncherKey}}
      Environment: {{Variables: {{RELEASE: !Ref Release, LINES: !Ref Lines, TASKS: !Sub '{{"etl": "${{EtlTask}}"}}'}}}}
  LauncherVersion:
    Type: AWS::Lambda::Version
    Properties: {{FunctionName: !Ref Launcher, Description: !Ref Release}}
  LauncherAlias:
    Type: AWS::Lambda::Alias
    Properties: {{Name: live, FunctionName: !Ref Launcher, FunctionVersion: !GetAtt LauncherVersion.Version}}
  Smoke:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: !Sub 'claimsight-${{Environment}}-smoke'
      Runtime: python3.11
      Handler: index.handle
      Role: !GetAtt Role.Arn
      Code: {{ZipFile: 'def handle(event, context): return {{"status": "Succeeded", "problems": []}}'}}
{_schedules()}
"""

CONSOLE = """
Parameters:
  Environment: {Type: String}
  ImageConsole: {Type: String}
  Serving: {Type: String, Default: blue}
  ConsoleCertificate: {Type: String}
  ConsoleDomain: {Type: String}
  ConsoleLine: {Type: String, Default: demo}
  ConsoleTasks: {Type: Number, Default: 1}
Resources:
  Task:
    Type: AWS::ECS::TaskDefinition
    Properties:
      Family: claimsight-dev-console
      ContainerDefinitions: [{Name: console, Image: !Ref ImageConsole}]
Outputs:
  Task: {Value: !Ref Task}
  Listener: {Value: listener}
  GreenTargets: {Value: green}
"""
CONSOLE_DELIVERY = """
Parameters:
  Environment: {Type: String}
Resources:
  Log: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: /claimsight/dev/codedeploy}}
"""
"""Local AWS has no CodeDeploy."""


def lend_environment(folder: Path) -> None:
    """Give a folder this environment as its own, complete in the eyes of make, which thus installs nothing into it."""
    own = folder / ".venv"
    own.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (own / part).symlink_to(Path(sys.prefix) / part)
    for stamp in ("uv", "run", "dev"):
        (own / f"{stamp}.stamp").touch()


def committed(aws: S3, folder: Path) -> Path:
    """Make a commit of this working copy, with these templates, and an account with what they hold.

    Returns
    -------
    Path
        Its clone, with this environment.
    """
    clone = folder / "source"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file() and not name.startswith(".venv"):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    templates = clone / "deploy" / "templates"
    (templates / "parameters").mkdir(parents=True, exist_ok=True)
    (templates / "parameters" / "staging.json").write_text(PARAMETERS)
    (templates / "data.yaml").write_text(DATA)
    (templates / "jobs.yaml").write_text(JOBS)
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-qm", "All"]):
        subprocess.run(["git", *who, *command], cwd=clone, check=True)
    lend_environment(clone)
    subprocess.run(
        [sys.executable, "-m", "deploy.rollout", "provision", "--env", "staging", "--stacks", "data"],
        cwd=clone,
        env=environment_of(**aws.environment),
        check=True,
    )
    return clone
