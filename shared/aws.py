"""AWS, by way of boto3: clients with bounded patience, and what goes wrong with them as errors of ours.

Endpoint, region and credentials are those that the standard ``AWS_*`` variables, a profile or the task's role name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from shared.errors import ClaimsightError, ConfigError, TransientError

ATTEMPTS = 4
"""Of a request, by botocore, which backs off for some 4 s altogether."""
CONNECT_SECONDS, READ_SECONDS = 5, 20
"""Until a service has accepted a connection; between two signs of life."""
PASSING = {"InternalFailure", "RequestTimeout", "SlowDown", "ThrottlingException", "TooManyRequests"}
ABOUT_CREDENTIALS = {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"}
"""Error codes of any service."""
Refusal = Callable[[str, int], ClaimsightError | None]
"""What an error code and HTTP status mean of one service; None for what they mean of any."""


@cache
def client(service: str) -> Any:
    """Connect to a service; to make a client takes longer than most requests.

    Raises
    ------
    ConfigError
        The endpoint is no URL. Other faults of the settings come as boto3's: see :func:`translated`.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.client(
            service,
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            ),
        )
    except BotoCoreError:
        raise
    except ValueError:
        raise ConfigError("AWS_ENDPOINT_URL is no URL; it looks like https://s3.example.com") from None


@contextmanager
def translated(service: str, what: str, refusal: Refusal = lambda code, status: None) -> Iterator[None]:
    """Turn boto3's errors into ours: one line each, of which no part comes from a request or its credentials.

    Parameters
    ----------
    service : str
        As people call it, such as ``S3``.
    what : str
        What was to be had from it; begins each message.
    """
    from botocore import exceptions
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError  # of a body's, botocore lets TLS errors through as they are

    def unreachable(error: Exception) -> TransientError:
        return TransientError(f"{what}: {service} cannot be reached ({type(error).__name__}); start again later")

    try:
        yield
    except exceptions.ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        raise refusal(code, status) or _refused(service, what, code, status) from error
    except exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ConfigError(f"{what}: the certificate of {service} is not trusted; set AWS_CA_BUNDLE") from error
        raise unreachable(error) from error
    except (
        exceptions.ConnectionError,
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
        exceptions.CredentialRetrievalError,
        exceptions.MetadataRetrievalError,
        exceptions.FlexibleChecksumError,
        ResponseParserError,
        HTTPError,
    ) as error:
        raise unreachable(error) from error
    except exceptions.BotoCoreError as error:
        raise ConfigError(
            f"{what}: {service} cannot be asked with these settings ({type(error).__name__}); "
            "look at the AWS_* variables"
        ) from error


def _refused(service: str, what: str, code: str, status: int) -> ClaimsightError:
    said = f"({code}, HTTP {status})"
    if status >= 500 or status == 429 or code in PASSING:
        return TransientError(f"{what}: {service} is not at its best {said}; start again later")
    if code in ABOUT_CREDENTIALS:
        return ConfigError(f"{what}: {service} does not accept these credentials {said}; renew them")
    return ConfigError(f"{what}: {service} refuses {said}; look at the settings and the AWS_* variables")
