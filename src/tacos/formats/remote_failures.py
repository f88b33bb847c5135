"""Failures of servers: which are waited for, and what a person is told.

Each file system raises what its libraries raise, so failures are told apart by their HTTP status or
by the names of their classes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from tacos.addresses import hide_secrets, redact_address
from tacos.errors import InputError

log = logging.getLogger(__name__)

WAITS = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each further try."""
EXTRAS = {
    "hf": "hub",
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "abfs": "az",
    "abfss": "az",
    "adl": "az",
}
"""Scheme -> the extra that it needs, beside the web's."""
CREDENTIALS = {
    "hub": "HF_TOKEN",
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true for a public "
    "bucket",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or FSSPEC_GS_TOKEN=anon for a public bucket",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""Extra -> the environment variables by which one may read."""
BUSY = (408, 425, 429)
REFUSED = (401, 403)
GONE = (404, 410)

Result = TypeVar("Result")


def try_again(
    action: Callable[[], Result],
    address: str,
    *,
    is_first: bool = False,
) -> Result:
    """The result of an action, tried again after failures that may pass.

    A server that cannot be reached at the first contact is not waited for. Raises `InputError`.
    """
    for wait in (*WAITS, None):
        try:
            return action()
        except InputError:
            raise
        except Exception as error:  # file systems raise what their libraries raise
            if wait is None or not _may_pass(error, is_first=is_first):
                raise explain_failure(error, address) from None
            reason = hide_secrets(take_line(error))
            log.info("%s: %s; trying again", redact_address(address), reason)
            time.sleep(wait)
    raise AssertionError("the last try returns or raises")


def explain_failure(error: Exception, address: str) -> InputError:
    """What went wrong, and what to do."""
    shown = redact_address(address)
    # What is no URL is the name of a data set of the hub.
    scheme = address.partition("://")[0].lower() if "://" in address else "hf"
    variables = CREDENTIALS.get(EXTRAS.get(scheme, ""), "")
    status = _find_status(error)
    is_missing = isinstance(error, FileNotFoundError) and error.__cause__ is None
    if status in GONE or (status is None and is_missing):
        text = f"{shown}: no such file; check the address"
        if scheme == "hf":
            text += f", and {variables} if the data set is private"
        return InputError(text)
    if (
        status in REFUSED
        or isinstance(error, PermissionError)
        or _lacks_credentials(error)
    ):
        said = f" (HTTP {status})" if status else ""
        advice = f"set {variables}" if variables else "check its login or signature"
        return InputError(f"{shown}: access is refused{said}; {advice}")
    if status is not None:
        return InputError(
            f"{shown} cannot be read: the server answers HTTP {status}; try again later"
        )
    if _is_redirected_for_ever(error):
        return InputError(
            f"{shown} leads from one address to the next without end; check the address"
        )
    if _is_bad_http(error):
        reason = "its answer ends too early, or is not the one that it announces"
    else:
        reason = hide_secrets(take_line(error.__cause__ or error))
    return InputError(
        f"{shown} cannot be reached or breaks off: {reason}; "
        "check the network, and run the same command again"
    )


def _may_pass(error: Exception, *, is_first: bool) -> bool:
    """Whether a failure may be gone at the next try."""
    if _is_redirected_for_ever(error):
        return False
    status = _find_status(error)
    if status is not None:
        return status in BUSY or status >= 500
    if is_first and _is_unreachable(error):
        return False
    lasting = (
        FileNotFoundError,
        PermissionError,
        IsADirectoryError,
        NotImplementedError,
    )
    has_cause = error.__cause__ is not None
    if isinstance(error, FileNotFoundError) and has_cause:
        return True  # the web's file system calls every failure a missing file
    return not isinstance(error, lasting) and not _lacks_credentials(error)


def _iterate_causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it comes from."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__ or cause.__context__


def _find_status(error: BaseException) -> int | None:
    """The HTTP status that an error comes from, if it is one."""
    if _is_bad_http(error):
        return None  # aiohttp calls an answer that it cannot read a 400
    for cause in _iterate_causes(error):
        response = getattr(cause, "response", None)
        status = getattr(cause, "status", getattr(response, "status_code", None))
        # Of other packages a code may be anything.
        if type(cause).__module__.startswith("gcsfs"):
            status = getattr(cause, "code", None)
        if isinstance(status, int) and status >= 400:
            return status
    return None


def _is_bad_http(error: BaseException) -> bool:
    """Whether an answer broke off, or is not as HTTP wants it."""
    return any(
        type(cause).__module__ == "aiohttp.http_exceptions"
        for cause in _iterate_causes(error)
    )


def _is_redirected_for_ever(error: BaseException) -> bool:
    """Whether addresses lead to each other."""
    names = {type(cause).__name__ for cause in _iterate_causes(error)}
    return "TooManyRedirects" in names


def _is_unreachable(error: BaseException) -> bool:
    """Whether a server does not answer at all, or has no address."""
    names = {type(cause).__name__ for cause in _iterate_causes(error)}
    unreachable = {
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "ConnectError",
        "ConnectionRefusedError",
        "EndpointConnectionError",
        "InvalidUrlClientError",
        "gaierror",
    }
    return bool(names & unreachable)


def _lacks_credentials(error: BaseException) -> bool:
    """Whether a library had nothing to log in with."""
    names = {type(cause).__name__ for cause in _iterate_causes(error)}
    lacking = {
        "NoCredentialsError",
        "PartialCredentialsError",
        "DefaultCredentialsError",
    }
    return bool(names & lacking)


def take_line(error: BaseException) -> str:
    """The first line of an error, or its name."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
