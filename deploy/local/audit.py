"""What the images are made of, and what is known against it.

::

    python -m deploy.local.audit etl train …

writes a CycloneDX bill of materials for each image to ``.claimsight/audit``, from what truly is in the image: the
metadata of its Python packages and the list of its Debian packages. Then it asks the vulnerability service about all
that the locks name. Where that cannot be reached it says so: an audit that did not happen is none.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

OUT = Path(".claimsight/audit")
LOCK = "requirements/all.txt"
"""Names every package that any of the locks names, in the same version."""
PATIENCE = 15
"""Seconds that the vulnerability service has for an answer."""
DPKG, OS_RELEASE = "var/lib/dpkg/status", "usr/lib/os-release"
METADATA = re.compile(r"\.dist-info/METADATA$")
UNREACHABLE = re.compile(r"Connection|NameResolution|Max retries|timed out|SSLError")


def main(targets: list[str]) -> int:
    """Write the bills, then look for known vulnerabilities; 1 if there are some."""
    OUT.mkdir(parents=True, exist_ok=True)
    registry, tag = os.environ.get("REGISTRY"), os.environ.get("TAG") or "dev"
    for target in targets:
        bill = bill_of_materials(f"{registry + '/' if registry else ''}claimsight/{target}:{tag}")
        file = OUT / f"{target}.cdx.json"
        file.write_text(json.dumps(bill, indent=1) + "\n")
        print(f"{file}: {len(bill['components'])} components")
    return _vulnerabilities()


def bill_of_materials(image: str) -> dict[str, Any]:
    """Make an image's bill; the same image gives the same bill."""
    (facts,) = json.loads(_docker("image", "inspect", image))
    files = dict(_files(image))
    distribution = _distribution(files.get(OS_RELEASE, ""))
    components = [
        *(_python(text) for name, text in files.items() if METADATA.search(name)),
        *_debian(files.get(DPKG, ""), distribution),
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, facts['Id'])}",
        "version": 1,
        "metadata": {
            "timestamp": re.sub(r"\.\d+", "", facts["Created"]),
            "component": {"type": "container", "bom-ref": image, "name": image, "version": facts["Id"]},
        },
        "components": sorted({c["bom-ref"]: c for c in components}.values(), key=lambda c: str(c["bom-ref"])),
    }


def _files(image: str) -> Iterator[tuple[str, str]]:
    """Path and text of each file that tells of a package. Nothing of the image is run."""
    container = _docker("create", image).strip()
    try:
        with (
            subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export,
            tarfile.open(fileobj=export.stdout, mode="r|") as tar,
        ):
            for member in tar:
                if member.isfile() and (member.name in (DPKG, OS_RELEASE) or METADATA.search(member.name)):
                    content = tar.extractfile(member)
                    assert content is not None  # it is a file
                    yield member.name, content.read().decode(errors="replace")
    finally:
        _docker("rm", container)


def _python(metadata: str) -> dict[str, Any]:
    fields = HeaderParser().parsestr(metadata)
    name = re.sub(r"[-_.]+", "-", fields["Name"]).lower()
    expression = fields["License-Expression"]
    licences = {"licenses": [{"expression": expression}]} if expression else {}
    return _component(name, fields["Version"], f"pkg:pypi/{name}@{quote(fields['Version'])}") | licences


def _debian(status: str, distribution: str) -> Iterable[dict[str, Any]]:
    for paragraph in status.strip().split("\n\n") if status.strip() else []:
        fields = HeaderParser().parsestr(paragraph)
        name, version = fields["Package"], fields["Version"]
        place = f"pkg:deb/{distribution.partition('-')[0]}/{quote(name)}@{quote(version)}"
        yield _component(name, version, f"{place}?arch={fields['Architecture']}&distro={distribution}")


def _component(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _distribution(os_release: str) -> str:
    r"""Name the distribution as package URLs do.

    >>> _distribution('ID=debian\nVERSION_ID="12"')
    'debian-12'
    """
    fields = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]*)', os_release, flags=re.MULTILINE))
    return f"{fields.get('ID', 'unknown')}-{fields.get('VERSION_ID', '')}"


def _vulnerabilities() -> int:
    report = OUT / "vulnerabilities.json"
    report.unlink(missing_ok=True)
    command = [".venv-audit/bin/pip-audit", "--vulnerability-service", "osv", "--timeout", str(PATIENCE)]
    options = ["--disable-pip", "--require-hashes", "--strict", "--progress-spinner", "off", "--format", "json"]
    ran = subprocess.run(
        [*command, *options, "--output", str(report), "--requirement", LOCK],
        check=False,
        capture_output=True,
        text=True,
    )
    if not report.exists():
        last = (ran.stderr.strip().splitlines() or ["no word"])[-1]
        if UNREACHABLE.search(ran.stderr):
            print("Known vulnerabilities: NOT looked up, the vulnerability service cannot be reached from here")
            return 0
        print(f"Known vulnerabilities: pip-audit failed: {last}", file=sys.stderr)
        return 1
    found = [package for package in json.loads(report.read_text())["dependencies"] if package.get("vulns")]
    for package in found:
        for vulnerability in package["vulns"]:
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version"
            print(f"{package['name']} {package['version']}: {vulnerability['id']}, mended in {fixed}")
    print(f"Known vulnerabilities: {len(found)} packages have some; {report}")
    return 1 if found else 0


def _docker(*arguments: str) -> str:
    ran = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"docker {arguments[0]}: {ran.stderr.strip()}; run make images first")
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
