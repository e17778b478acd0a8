"""Templates with as much as a roll-out looks at, so that its tests are about the roll-out alone."""

from __future__ import annotations

import json

from shared.choreography import RULES, STAGES

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
Resources:
  ArtifactBucket: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub 'claimsight-${Environment}-artifacts'}}
  Login: {Type: AWS::SecretsManager::Secret, Properties: {Name: login, GenerateSecretString: {}}}
""" + "".join(
    f"""
  {stage.title()}Repository:
    Type: AWS::ECR::Repository
    Properties: {{RepositoryName: !Sub 'claimsight-${{Environment}}/{stage}'}}"""
    for stage in STAGES
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
