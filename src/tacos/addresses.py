"""Addresses of data that lie elsewhere: URLs, and names of data sets on the Hugging Face hub.

An address may hold a password, or a query that is signed. Nothing that is shown or kept holds
either: what leaves this program goes through `redact_address` or `hide_secrets`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://")
URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://[^\s'\"<>\\]+")
TOKEN = re.compile(r"(?<=Bearer )\S+|\bhf_\w{6,}")
"""A key as libraries of the hub repeat it."""
HUB = "hf://datasets/"
NAME = r"[A-Za-z0-9][\w.\-]*"
REPOSITORY = rf"(?P<repository>{NAME}/{NAME})"
REVISION = r"(@(?P<revision>refs/(convert|pr)/[^@:/]+|[^@:/]+))?"
HUB_DATA_SET = re.compile(
    rf"{REPOSITORY}{REVISION}(:((?P<config>[^/:]+)/)?(?P<split>[^/:]+))?"
)
HUB_PATH = re.compile(rf"{HUB}{REPOSITORY}{REVISION}/(?P<path>.+)")
COMMIT = re.compile(r"[0-9a-f]{40}")
WITH_LOGIN = (
    *("http", "https", "ftp", "sftp", "ssh", "smb", "webhdfs"),
    *("postgresql", "postgres"),
)
"""Schemes before whose host a name is a login; elsewhere it may be that of a container."""
CUT = "..."
"""Stands for what may be a password."""


class HubName(NamedTuple):
    """A data set on the hub: `OWNER/NAME[@REVISION][:[CONFIG/]SPLIT]`."""

    repository: str
    revision: str = ""
    config: str = ""
    split: str = ""


def is_url(given: Any) -> bool:
    """Whether a text is a URL.

    >>> is_url("s3://bucket/a.jsonl"), is_url("a.jsonl"), is_url("C://a.jsonl")
    (True, False, False)
    """
    return isinstance(given, str) and URL.match(given) is not None


def is_elsewhere(given: Any) -> bool:
    """Whether a text names data that lie elsewhere: a URL, or a data set of the hub."""
    return is_url(given) or parse_hub_name(given) is not None


def parse_hub_name(given: Any) -> HubName | None:
    """The data set of the hub that a text names, or None.

    Without `hf://datasets/`, what may be a path is none: it exists, its folder does, or it ends
    like the name of a file of data.

    >>> parse_hub_name("hf://datasets/openai/gsm8k@main:socratic/train")
    HubName(repository='openai/gsm8k', revision='main', config='socratic', split='train')
    >>> parse_hub_name("tatsu-lab/alpaca").repository, parse_hub_name("corpora/a.jsonl.gz")
    ('tatsu-lab/alpaca', None)
    """
    if not isinstance(given, str):
        return None
    text = given.removeprefix(HUB).removesuffix("/")
    matched = HUB_DATA_SET.fullmatch(text)
    if matched is None or (text == given and _may_be_path(given)):
        return None
    parts = {name: part or "" for name, part in matched.groupdict().items()}
    return HubName(**parts)


class HubPath(NamedTuple):
    """A file or folder of a data set on the hub."""

    repository: str
    revision: str
    path: str

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, of which no file ever changes."""
        return COMMIT.fullmatch(self.revision) is not None


def parse_hub_path(address: str) -> HubPath | None:
    """The file or folder of a data set on the hub that an address names, or None.

    >>> parse_hub_path("hf://datasets/tatsu-lab/alpaca@main/data/train.parquet")
    HubPath(repository='tatsu-lab/alpaca', revision='main', path='data/train.parquet')
    """
    matched = HUB_PATH.fullmatch(address)
    if matched is None:
        return None
    return HubPath(
        matched["repository"],
        matched["revision"] or "",
        matched["path"],
    )


def redact_address(address: str) -> str:
    """An address without login, query and fragment.

    A password may hold / ? # as they are, though an address must escape them. A colon before the
    first of them and an @ after it may be such a password, or a port and an @ of a path: nothing
    before the last @ is shown then.

    >>> redact_address("https://me:secret@host/a.jsonl?X-Amz-Signature=1#2")
    'https://host/a.jsonl'
    >>> redact_address("abfs://container@account.dfs.core.windows.net/part-?.parquet")
    'abfs://container@account.dfs.core.windows.net/part-?.parquet'
    >>> redact_address("https://me:sec/ret@host/a.jsonl"), redact_address("https://host/a@b.jsonl")
    ('https://.../host/a.jsonl', 'https://host/a@b.jsonl')
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if ":" in authority and "@" in rest[len(authority) :]:
        return f"{scheme}://{_cut_password(rest)}"
    has_login = scheme.lower() in WITH_LOGIN
    place, mark, query = rest.partition("?")
    # A question mark of a pattern or of a key is no query.
    if mark and not has_login and "=" not in query:
        place = rest
    if has_login:
        place = place.partition("#")[0]
    host, slash, path = place.partition("/")
    login, at, host_alone = host.rpartition("@")
    if at and (has_login or ":" in login):
        host = host_alone
    return f"{scheme}://{host}{slash}{path}"


def find_address_in_path(path: Path) -> str:
    """The address, redacted, that was taken for a path; "" for what is a path.

    >>> find_address_in_path(Path("https://me:secret@host/a.txt"))
    'https://host/a.txt'
    """
    # As a path, an address has one slash after its scheme.
    scheme, found, rest = str(path).partition(":/")
    if not found or len(scheme) < len("s3") or Path(f"{scheme}:").exists():
        return ""
    return redact_address(f"{scheme}://{rest.lstrip('/')}")


def has_query(address: str) -> bool:
    """Whether an address has a query, or a part like one, which is never shown."""
    shown = redact_address(address)
    return shown != address and ("?" in address or f"://{CUT}" in shown)


def hide_secrets(text: str) -> str:
    """A text with all addresses in it redacted, and without tokens of the hub.

    >>> hide_secrets("GET 'https://host/a?token=1' failed")
    "GET 'https://host/a' failed"
    """
    shown = URL_IN_TEXT.sub(lambda found: redact_address(found[0]), text)
    return TOKEN.sub("[secret]", shown)


def _cut_password(place: str) -> str:
    """What stands after the last @, if that cannot be a part of a query."""
    before, _, after = place.rpartition("@")
    if re.search("[?#]", before):
        return CUT
    host_and_path = re.split("[?#]", after, maxsplit=1)[0]
    return f"{CUT}/{host_and_path}"


def _may_be_path(name: str) -> bool:
    """Whether a name rather is that of a file or a folder here."""
    path = Path(name)
    is_file_name = re.search(
        r"\.(jsonl?|ndjson|csv|tsv|parquet|pq|arrow|feather|ipc|txt|gz|zstd?|bz2|xz|toml|html)$",
        name.lower(),
    )
    return bool(is_file_name) or path.exists() or path.parent.is_dir()
