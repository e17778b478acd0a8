"""Serve the console: ``python -m console.api``."""

from __future__ import annotations

import os
import sys

# Claims come a few at a time: threads that share them out, or spin until the next, would only hold others up.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import uvicorn

from console.api.app import create_app
from console.api.settings import from_environment
from shared import logs
from shared.errors import ClaimsightError


def main() -> int:
    """Serve until told to stop; what is wrong with the settings is said in one line each."""
    logs.configure()
    try:
        settings = from_environment()
        app = create_app(settings)
    except ClaimsightError as error:
        for problem in error.problems:
            print(f"claimsight: {problem}", file=sys.stderr)
        return int(error.exit_code)
    # Behind a load balancer the address of whoever asks stands in a header; what others than that wrote there is not
    # believed, or anyone could pass for many.
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=settings.proxies,
        timeout_graceful_shutdown=10,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
