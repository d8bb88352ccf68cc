"""From the URLs of a migration to its source and its target."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

from streamconsole.engines.errors import Refused
from streamconsole.engines.migration.compression import Compression, split_name
from streamconsole.engines.migration.postgresql import SCHEMES, with_driver
from streamconsole.engines.migration.settings import MigrationSettings
from streamconsole.engines.migration.sources.databases import Database
from streamconsole.engines.migration.sources.files import PlainFile, SourceFile, head_of
from streamconsole.engines.migration.sources.generate import KINDS, GenerateSource
from streamconsole.engines.migration.sources.json_document import JsonSource, is_document
from streamconsole.engines.migration.sources.ndjson import NdjsonSource
from streamconsole.engines.migration.sources.source import Source
from streamconsole.engines.migration.targets.csv_rows import Dialect
from streamconsole.engines.migration.targets.file_forms import Array, Csv, Form, Lines
from streamconsole.engines.migration.targets.files import FileTarget
from streamconsole.engines.migration.targets.sqlite import SqliteTarget
from streamconsole.engines.migration.targets.target import Target
from streamconsole.engines.migration.transforms.reader import transformed
from streamconsole.engines.secrets import mask

# What only some migrations need is loaded when it is named: a start is waited for.
if TYPE_CHECKING:
    from streamconsole.engines.migration.sources.sql import SqlSource
    from streamconsole.engines.migration.targets.sql import SqlTarget

SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+._-]*)://")

FORMS = {".ndjson": "", ".jsonl": "", ".json": "", ".csv": ",", ".tsv": "\t"}
"""Endings of files that can be written; for CSV what stands between two values."""

DIALECTS = ("sqlite", *SCHEMES, "mysql", "mariadb", "oracle", "mssql", "duckdb", "cockroachdb")

DEFAULT_COUNT = 1_000_000


def source_of(settings: MigrationSettings) -> Source:
    """The source that the settings name, with the transforms they ask for.

    Raises:
        Refused: nothing this program can read.
    """
    return transformed(bare_source_of(settings), settings.transform, settings.columns)


def bare_source_of(settings: MigrationSettings) -> Source:
    """The source itself.

    Raises:
        Refused: nothing this program can read.
    """
    url = settings.source
    scheme = _scheme(url)
    if scheme == "generate":
        return _generate(url, settings)
    if scheme in ("", "file"):
        return _file(_path(url), settings)
    if is_database(url):
        return _table(url, settings)
    known = ["generate", "sqlite"]
    raise Refused(_unknown("source", url, scheme, known, "sqlite:///shop.db#customers, or a .ndjson file"))


def target_of(settings: MigrationSettings) -> Target:
    """The target that the settings name.

    Raises:
        Refused: nothing this program can write.
    """
    url = settings.target
    scheme = _scheme(url)
    if scheme == "sqlite":
        return _sqlite(url, settings)
    if scheme in ("", "file"):
        path = _path(url)
        form = form_of(path, settings)
        if form is not None or path.is_dir():
            return FileTarget(path, form, split_name(path)[1], settings.mode, create=settings.create)
        if path.suffix.lower() in (".db", ".sqlite", ".sqlite3"):
            raise Refused(f"target {url}: write it as sqlite:///{quote(url, safe='/ ')}#table")
        raise Refused(f"target {path}: files that can be written end in {', '.join(FORMS)}, each also .gz or .zst")
    if is_database(url):
        return _sql_target(url, settings)
    if scheme == "generate":
        raise Refused(f"target {url}: generate:// makes rows and takes none; SOURCE comes before TARGET")
    raise Refused(_unknown("target", url, scheme, ["sqlite"], "sqlite:///shop.db#customers or a .ndjson file"))


def form_of(path: Path, settings: MigrationSettings) -> Form | None:
    """What a file target of that name looks like; None when its name says nothing."""
    ending, _ = split_name(path)
    if ending in (".csv", ".tsv"):
        return Csv(Dialect(settings.delimiter or FORMS[ending], settings.null))
    if ending == ".json":
        return Array()
    return Lines() if ending in FORMS else None


def is_database(url: str) -> bool:
    """Whether a URL is one that SQLAlchemy may know."""
    scheme = _scheme(url)
    return "+" in scheme or scheme in DIALECTS


def database_of(location: str, side: str = "source") -> Database:
    """The database of a URL without fragment.

    Raises:
        Refused: it names no file.
    """
    if _scheme(location).partition("+")[0] != "sqlite":
        return Database(with_driver(location), side=side)
    path = _sqlite_path(side, location)
    return Database("", path, path.stat().st_ino if path.exists() else 0, side)


def name_of(settings: MigrationSettings) -> str:
    """What a migration is called unless its runbook says so: the table or file it fills."""
    if _scheme(settings.target) in ("", "file"):
        return _path(settings.target).name.split(".")[0] or "migration"
    location, _, table = settings.target.partition("#")
    return unquote(table) or Path(urlsplit(location).path or location).name.split(".")[0] or "migration"


def absolute(url: str, folder: Path) -> str:
    """The same source, target or workspace, with a path that does not depend on the current folder."""
    scheme = _scheme(url)
    if scheme in ("", "file"):
        return str((folder / Path(url.removeprefix("file://")).expanduser()).absolute())
    if scheme.partition("+")[0] != "sqlite":
        return url
    location, mark, table = url.partition("#")
    path = location.split("://", 1)[1]
    if not path.startswith("/") or path == "/":
        return url
    # The path given is part of a URL already; the folder is not: # and % in its name mean nothing.
    return f"{scheme}:///{Path(quote(str(folder.absolute()), safe='/ ')) / Path(path[1:]).expanduser()}{mark}{table}"


def _file(path: Path, settings: MigrationSettings) -> Source:
    ending, compression = split_name(path)
    if ending not in FORMS and path.exists() and not path.is_dir():
        raise Refused(f"source {path}: files that can be read end in {', '.join(FORMS)}, each also .gz or .zst")
    file = _packed(path, compression) if compression else PlainFile(path)
    sizes = (settings.window_rows, settings.window_bytes)
    if ending in (".csv", ".tsv"):
        from streamconsole.engines.migration.sources.csv import CsvSource

        return CsvSource(
            file,
            *sizes,
            delimiter=settings.delimiter or ("\t" if ending == ".tsv" else None),
            header=settings.header,
            encoding=settings.encoding,
            null=settings.null,
        )
    if ending == ".json" and path.is_file() and is_document(head_of(file)):
        return JsonSource(file, *sizes)
    return NdjsonSource(file, *sizes)


def _packed(path: Path, compression: Compression) -> SourceFile:
    from streamconsole.engines.migration.sources.packed import PackedFile

    return PackedFile(path, compression)


def _scheme(url: str) -> str:
    match = SCHEME.match(url)
    return match.group(1).lower() if match else ""


def _path(url: str) -> Path:
    bare = url.removeprefix("file://")
    # A fragment has no meaning for a file, but # may stand in a file's name.
    path = Path(bare).expanduser()
    if "#" in path.name and split_name(path)[0] not in FORMS and not path.exists():
        path = path.with_name(path.name.partition("#")[0] or path.name)
    return path.absolute()


def _sqlite(url: str, settings: MigrationSettings) -> SqliteTarget:
    location, _, table = url.partition("#")
    place = _sqlite_path("target", location)
    if not table:
        raise Refused(f"target {url} names no table: add it after a #, {url}#customers")
    return SqliteTarget(place, unquote(table), settings.mode, create=settings.create)


def _sql_target(url: str, settings: MigrationSettings) -> SqlTarget:
    location, _, fragment = url.partition("#")
    if not fragment:
        raise Refused(f"target {mask(url)} names no table: add it after a #, {mask(url)}#customers")
    database = replace(database_of(location, "target"), inode=0)
    # A SQLite file has one schema, and a dot in a table's name means nothing.
    place, dot, table = unquote(fragment).partition(".") if database.path is None else ("", "", "")
    name = table if dot else unquote(fragment)
    if database.server is not None:
        from streamconsole.engines.migration.targets.postgresql import PostgresqlTarget as TargetOfKind
    else:
        from streamconsole.engines.migration.targets.sql import SqlTarget as TargetOfKind  # type: ignore[assignment]
    return TargetOfKind(database, place if dot else None, name, settings.mode, create=settings.create)


def _sqlite_path(what: str, location: str) -> Path:
    path, _, query = location.split("://", 1)[1].partition("?")
    if query:
        raise Refused(f"{what} {mask(location)}: ?{mask(query)} is not known; a ? in a file's name is written %3F")
    path = unquote(path)
    if not path.startswith("/") or path == "/":
        raise Refused(f"{what} {location}: write sqlite:///relative/path.db#table or sqlite:////absolute/path.db#table")
    return Path(path[1:]).expanduser().absolute()


def _table(url: str, settings: MigrationSettings) -> SqlSource:
    location, _, table = url.partition("#")
    if not table:
        raise Refused(f"source {mask(url)} names no table: add it after a #, {mask(url)}#customers")
    from streamconsole.engines.migration.sources.sql import SqlSource

    database = database_of(location)
    return SqlSource(
        database,
        unquote(table),
        settings.window_rows,
        settings.window_bytes,
        settings.from_offset,
        key=settings.key,
        apart=not _writes_to(settings.target, database.path),
        constraints=settings.constraints,
    )


def _writes_to(target: str, path: Path | None) -> bool:
    location = target.partition("#")[0]
    if path is None or _scheme(location).partition("+")[0] != "sqlite":
        return False
    return _sqlite_path("target", location).resolve() == path.resolve()


def _generate(url: str, settings: MigrationSettings) -> GenerateSource:
    parsed = urlsplit(url)
    if parsed.netloc not in KINDS:
        raise Refused(f"source {url}: what can be generated is {', '.join(f'generate://{kind}' for kind in KINDS)}")
    query = parse_qs(parsed.query, keep_blank_values=True)
    unknown = set(query) - {"count", "seed"}
    if unknown:
        raise Refused(f"source {url}: {unknown.pop()!r} is not known, write ?count=1000000&seed=1")
    count = _number(url, query, "count", DEFAULT_COUNT)
    if count < 1:
        raise Refused(f"source {url}: count must be at least 1")
    return GenerateSource(parsed.netloc, count, _number(url, query, "seed", 1), settings.window_rows)


def _number(url: str, query: dict[str, list[str]], name: str, default: int) -> int:
    text = query.get(name, [str(default)])[-1]
    try:
        return int(text)
    except ValueError:
        raise Refused(f"source {url}: {name} must be a whole number, not {text!r}") from None


def _unknown(what: str, url: str, scheme: str, known: list[str], example: str) -> str:
    close = difflib.get_close_matches(scheme, known, 1)
    hint = f"did you mean {close[0]}://?" if close else f"write {example}"
    return f"{what} {mask(url)}: {scheme}:// is not known to this version: {hint}"
