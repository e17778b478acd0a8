"""Who connects to whom: the network that data.yaml lays for tasks, database and console."""

from __future__ import annotations

import json
from typing import Any

from deploy.template import load

DATA = load("data")


def _of(kind: str) -> dict[str, Any]:
    return {name: one["Properties"] for name, one in DATA["Resources"].items() if one["Type"] == kind}


def _data(name: str) -> Any:
    return DATA["Resources"][name]["Properties"]


def _text(value: Any) -> str:
    return json.dumps(value)


def test_the_database_is_closed() -> None:
    """The database has no public address and lies in private subnets; it refuses connections without TLS."""
    database, parameters = _data("Database"), _data("DatabaseParameters")["Parameters"]
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    assert _data("DatabaseSubnets")["SubnetIds"] == [{"Ref": "PrivateSubnetA"}, {"Ref": "PrivateSubnetB"}]
    assert parameters["rds.force_ssl"] == "1"
    assert "pgaudit" in parameters["shared_preload_libraries"]
    routes = [route["RouteTableId"] for route in _of("AWS::EC2::Route").values()]
    assert {"Ref": "PrivateRoutes"} not in routes


def test_nobody_connects_from_outside() -> None:
    """Security groups let in other security groups alone; only the console's load balancer whom a team names."""
    ways = {
        name: {
            (_text(rule.get("SourceSecurityGroupId", rule.get("CidrIp"))).split('"')[3], rule["ToPort"])
            for entry in group.get("SecurityGroupIngress", ())
            for rule in [entry["Fn::If"][1] if "Fn::If" in entry else entry]
        }
        for name, group in _of("AWS::EC2::SecurityGroup").items()
    }
    assert ways == {
        "TaskSecurityGroup": set(),
        "ProbeSecurityGroup": set(),
        "EndpointSecurityGroup": {("TaskSecurityGroup", 443), ("ConsoleSecurityGroup", 443)},
        "DatabaseSecurityGroup": {("TaskSecurityGroup", 5432), ("ConsoleSecurityGroup", 5432)},
        "ConsoleSecurityGroup": {("LoadBalancerSecurityGroup", 8400)},
        "LoadBalancerSecurityGroup": {("ConsoleCidr", 443), ("ConsoleCidr", 80), ("ProbeSecurityGroup", 8443)},
    }
    assert DATA["Parameters"]["ConsoleCidr"]["Default"] == ""


def test_each_goes_out_where_it_has_to() -> None:
    """A group is let out to what it works with: AWS and the sign-in provider by 443, the rest within the VPC."""
    public, private = (
        [_text(_data(f"{kind}Subnet{zone}")["CidrBlock"]) for zone in "AB"] for kind in ("Public", "Private")
    )
    database, anywhere = [(5432, subnet) for subnet in private], (443, '"0.0.0.0/0"')
    nowhere = '"127.0.0.1/32"'
    ways = {
        name: [(rule["ToPort"], _text(rule["CidrIp"])) for rule in group["SecurityGroupEgress"] if "Fn::If" not in rule]
        for name, group in _of("AWS::EC2::SecurityGroup").items()
    }
    assert ways == {
        "TaskSecurityGroup": [anywhere, *database],
        "ConsoleSecurityGroup": [anywhere, *database],
        "LoadBalancerSecurityGroup": [(8400, subnet) for subnet in public],
        "ProbeSecurityGroup": [(8443, _text({"Ref": "VpcCidr"}))],
        "DatabaseSecurityGroup": [(5432, nowhere)],
        "EndpointSecurityGroup": [(443, nowhere)],
    }
