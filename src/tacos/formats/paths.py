"""The files of an input: a folder stands for the data files in it, a pattern for those it matches.

A path that a person gives is never a pattern; patterns come by themselves. The order is that of the
paths given and, within a folder or a pattern, that of the names, so it is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tacos.addresses import is_elsewhere, is_url
from tacos.errors import InputError
from tacos.formats import saved_folders
from tacos.formats.detection import COMPRESSED, FORMATS_READ, SUFFIXES
from tacos.formats.folder_walk import match_files, walk_folders

STDIN = "-"
"""The path that stands for standard input."""
FilePath = str | Path
NOT_DATA = (
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
    "left_out.jsonl",
)
"""Files beside the rows that `datasets` saves or `tacos export` writes."""
RUN_STATE = "run.json"
"""The file that makes a folder a run of tacos."""
BESIDE_AN_OUTPUT = (
    *(".scores.jsonl", ".scores.parquet", ".scores.arrow"),
    *(".dropped.jsonl", ".changes.jsonl", ".edits.jsonl"),
)
"""How the names of files end that tacos writes beside an output."""


def choose_inputs(
    paths: Sequence[str],
    patterns: Sequence[str],
) -> list[str]:
    """The inputs that paths and patterns name together. Patterns are looked up in each folder
    given, or from the working directory where no folder is.

    Raises `InputError` for a pattern without a match, where nothing is named at all, and for
    an empty text.
    """
    if "" in paths:
        raise InputError(
            "an input has no name: look at the variable that it comes from"
        )
    if not patterns:
        if not paths:
            raise InputError(
                "no input: name files or folders, or a pattern with --glob PATTERN"
            )
        return list(paths)
    folders = [path for path in paths if _is_any_folder(path)]
    files = [path for path in paths if path not in folders]
    matched: dict[str, None] = dict.fromkeys(files)
    for pattern in patterns:
        found = _match_pattern(pattern, folders)
        matched.update(dict.fromkeys(found))
    return list(matched)


def expand_folders(paths: Sequence[FilePath]) -> list[FilePath]:
    """The paths with the data files of a folder in its place.

    Raises `InputError` for a folder without any, and for one that is a run.
    """
    files: list[FilePath] = []
    for path in paths:
        if is_folder(path):
            files += _list_folder(Path(path))
        else:
            files.append(path)
    return files


def is_run_folder(path: FilePath) -> bool:
    """Whether a path is the directory of a run."""
    return is_folder(path) and (Path(path) / RUN_STATE).is_file()


def is_folder(path: FilePath) -> bool:
    """Whether a path is a folder; standard input is none."""
    if str(path) == STDIN:
        return False
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # a name that is too long, or no name at all
        return False


def _is_any_folder(path: str) -> bool:
    """Whether a path is a folder, here or elsewhere."""
    if not is_elsewhere(path):
        return is_folder(path)
    if not is_url(path):
        raise InputError(
            f"--glob looks at paths: name {path} as hf://datasets/{path}/, or leave --glob out"
        )
    from tacos.formats.remote_files import is_remote_folder

    return is_remote_folder(path)


def _match_pattern(pattern: str, folders: Sequence[str]) -> list[str]:
    """The files that a pattern matches, sorted by name."""
    if is_url(pattern):
        folders = [""]
    files: list[str] = []
    for folder in folders or [""]:
        address = f"{folder.rstrip('/')}/{pattern}" if folder else pattern
        if is_url(address):
            from tacos.formats.remote_files import match_pattern

            files += match_pattern(address)
        else:
            files += _match_local_pattern(pattern, folder)
    if not files:
        places = ", ".join(folders).strip() or "the working directory"
        raise InputError(
            f"no file matches --glob {pattern!r} in {places}: "
            "check the pattern (** stands for any folders), and quote it for the shell"
        )
    return files


def _match_local_pattern(pattern: str, folder: str) -> list[str]:
    """The files here that a pattern matches."""
    top = Path(folder)
    paths = match_files(pattern, top)
    below = {each for path in paths for each in path.parents} - {top, *top.parents}
    back = {each for each in below if _leads_back(each)}
    return [str(path) for path in paths if back.isdisjoint(path.parents)]


def _list_folder(folder: Path) -> list[Path]:
    """The data files in a folder and below it, sorted."""
    if is_run_folder(folder):
        raise InputError(
            f"{folder} is a run of tacos, not data: name the file that it selected from, "
            "or its output"
        )
    try:
        files = sorted(_iterate_data_files(folder))
    except OSError as error:
        # To pass over a part of the data would be worse.
        raise InputError(
            f"{error.filename or folder} cannot be read: {error.strerror or error}; check its "
            "permissions, or name the files one by one"
        ) from None
    if not files:
        raise InputError(
            f"{folder} holds no data file: the names of such files end in "
            f"{FORMATS_READ}; name other files one by one"
        )
    return files


def _iterate_data_files(folder: Path) -> Iterator[Path]:
    """The data files in a folder and below it; hidden ones and runs of tacos are passed over.

    Raises `OSError` for what cannot be read, such as a link to a file that is gone.
    """
    for place in walk_folders(folder, _list_data_folders):
        for path in _iterate_entries(place):
            if not may_hold_rows(path.name) or path.is_dir():
                continue
            if path.is_file():
                yield path
            elif path.is_symlink():
                path.stat()


def _list_data_folders(folder: Path) -> list[Path]:
    """The folders in a folder that may hold data."""
    return [
        path
        for path in _iterate_entries(folder)
        if path.is_dir() and not is_run_folder(path)
    ]


def _iterate_entries(folder: Path) -> Iterator[Path]:
    """What may be data in a folder."""
    listed = _read_saved_folder(folder)
    for path in folder.iterdir():
        if listed is not None and path.name not in listed:
            continue
        if not path.name.startswith((".", "_")):
            yield path


def _leads_back(path: Path) -> bool:
    """Whether a path is a link to a folder that it lies in, whose files would be read again and
    again.
    """
    if not path.is_symlink():
        return False
    place = path.resolve()
    return any(place == folder.resolve() for folder in path.absolute().parents)


def _read_saved_folder(folder: Path) -> list[str] | None:
    """The files of rows in a folder that `datasets` has saved; None for any other.

    Raises `InputError` for one of several splits.
    """
    splits = folder / saved_folders.SPLITS
    if splits.is_file():
        saved_folders.check_splits(splits.read_bytes(), str(folder))
    state = folder / saved_folders.STATE
    if not state.is_file():
        return None
    return saved_folders.read_data_files(state.read_bytes())


def may_hold_rows(name: str) -> bool:
    """Whether the name of a file is that of data.

    >>> may_hold_rows("part-0.jsonl.zst"), may_hold_rows("README.md")
    (True, False)
    """
    if name in NOT_DATA or name.endswith(BESIDE_AN_OUTPUT):
        return False
    path = Path(name.lower())
    if path.suffix in COMPRESSED:
        path = path.with_suffix("")
    return path.suffix in SUFFIXES
