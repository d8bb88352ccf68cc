"""`streamconsole migrate`: one migration, no runbook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamconsole.cli.options import common, given
from streamconsole.engines.errors import Refused

if TYPE_CHECKING:
    from streamconsole.engines.migration.settings import MigrationSettings


class Size(click.ParamType[int]):
    """A number of bytes: `8388608`, `512k`, `8MiB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        text = str(value).strip().lower().removesuffix("b").removesuffix("i")
        factor = {"k": 2**10, "m": 2**20, "g": 2**30}.get(text[-1:], 1)
        try:
            return int(float(text.rstrip("kmg")) * factor)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a size: write 8MiB or 512k", param, ctx)


@click.command()
@click.argument("source", required=False)
@click.argument("target", required=False)
@click.option("--workers", type=int, help="Windows in hand at once.  [default: 4]")
@click.option("--window-rows", type=int, help="Rows in a window, at most.  [default: 5000]")
@click.option("--window-bytes", type=Size(), help="Bytes in a window, at most.  [default: 8MiB]")
@click.option("--limit", type=int, help="Rows to move, at most.")
@click.option(
    "--from-offset", type=int, help="Begin here: bytes in a file, rows in a generated source, a key in a table."
)
@click.option(
    "--windows", metavar="LIST|FILE", help="Just these: 0-1000,5000-9000, or what `runs history --json` printed."
)
@click.option("--key", help="Keys of a row that make up the primary key.  [default: _id or id, where there is one]")
@click.option(
    "--mode",
    type=click.Choice(["insert", "append", "upsert", "replace"]),
    help="What is done about rows that the target holds: none may be there, they stay, those with the same key "
    "are overwritten, or all are replaced at the end.  [default: insert]",
)
@click.option("--create/--no-create", default=None, help="Make what the target lacks, or refuse.  [default: create]")
@click.option("--delimiter", help="Between two values of CSV.  [default: found out; a comma in targets]")
@click.option("--header/--no-header", default=None, help="The first record of CSV names the columns, or does not.")
@click.option("--encoding", type=click.Choice(["utf-8", "latin-1", "cp1252"]), help="Of CSV.  [default: utf-8]")
@click.option("--null", metavar="TEXT", help="What stands for no value in CSV.  [default: nothing]")
@click.option("--writers", type=int, help="Child processes that move windows; 0 for none.  [default: as they pay]")
@click.option(
    "--rate", metavar="LIMIT", help="How fast, at most: 5000rows/s, or 20MB/s of the source.  [default: none]"
)
@click.option("--max-rejects", type=int, help="Stop when more rows than this are refused.")
@click.option(
    "--transform",
    metavar="KIND:…",
    multiple=True,
    help="What happens to the rows; may be repeated: hash:password, rename:old=new, drop:a,b, cast:age=integer, "
    "python:module:function, 'exec:./check --strict'.",
)
@click.option("--map", "columns", metavar="FILE", help="TOML or JSON: per column rename, drop, type.")
@click.option("--pool", help="Where windows are moved: threads or processes.  [default: what pays]")
@click.option("--verify/--no-verify", default=None, help="When it is done, compare both sides.  [default: no]")
@click.option("--dry-run", is_flag=True, help="Print what would be done; write nothing.")
@click.option(
    "--tables", metavar="LIST|all", help="A whole database: these tables, or all of them; SOURCE and TARGET without #."
)
@click.option("--name", help="What to call the run.")
@click.option("--resume", metavar="RUN", help="Go on with this run instead; does just what is left.")
@common
@click.pass_context
def migrate(
    context: click.Context, /, source: str | None, target: str | None, resume: str | None, **options: Any
) -> int:
    """Move rows from SOURCE to TARGET.

    SOURCE is an .ndjson, .json or .csv file (also .gz, .zst), a table or view of a
    database (sqlite:///shop.db#customers, or any URL that SQLAlchemy knows) or
    generate://users?count=1000; TARGET is a table or such a file.
    """
    from streamconsole.cli.working import Todo, work_on

    asked = given(context)
    if resume is not None:
        if source or target:
            raise click.UsageError("--resume goes without SOURCE and TARGET: the run knows them", context)
        return work_on(asked, asked.workspace_beside(Path.cwd()), Todo(resume=resume))
    if not source or not target:
        example = "for example customers.json sqlite:///shop.db#customers"
        raise click.UsageError(f"name SOURCE and TARGET, {example}; or a run to --resume", context)
    name, dry_run = options.pop("name"), options.pop("dry_run")
    settings = _settings(source, target, options)
    if dry_run:
        from streamconsole.cli.dry_run import dry_run_of

        return dry_run_of(asked, ((name, settings),))
    return work_on(asked, asked.workspace_beside(Path.cwd()), Todo(migrations=((name, settings),), always_new=True))


def _settings(source: str, target: str, options: dict[str, Any]) -> MigrationSettings:
    from pydantic import ValidationError

    from streamconsole.cli.column_map import column_map
    from streamconsole.engines.migration.locations import absolute
    from streamconsole.engines.migration.settings import MigrationSettings
    from streamconsole.engines.migration.transforms.settings import at_home
    from streamconsole.engines.migration.transforms.spelling import parse

    given_options = {name: value for name, value in options.items() if value is not None}
    if "windows" in given_options:
        given_options["windows"] = _windows(given_options["windows"])
    if given_options.get("tables", "all") != "all":
        given_options["tables"] = tuple(filter(None, given_options["tables"].split(",")))
    if "key" in given_options:
        given_options["key"] = tuple(filter(None, given_options["key"].split(",")))
    here = Path.cwd()
    given_options["transform"] = tuple(at_home(parse(text), here) for text in given_options["transform"])
    if "columns" in given_options:
        given_options["columns"] = column_map(Path(given_options["columns"]))
    try:
        return MigrationSettings(source=absolute(source, here), target=absolute(target, here), **given_options)
    except ValidationError as error:
        problem = error.errors()[0]
        if not problem["loc"]:
            raise Refused(problem["msg"].removeprefix("Value error, ")) from None
        option = "--" + str(problem["loc"][0]).replace("_", "-")
        message = problem["msg"].removeprefix("Value error, ")
        raise Refused(f"{option}: {message[:1].lower()}{message[1:]}, not {problem['input']!r}") from None


def _windows(text: str) -> tuple[tuple[int, int, int, str | None], ...]:
    """Ranges from a list on the command line or from a file of history."""
    path = Path(text)
    if text and path.exists():
        return _windows_of_file(path)
    ranges = []
    for part in filter(None, text.split(",")):
        lo, dash, hi = part.strip().partition("-")
        if not dash or not lo.isdigit() or not hi.isdigit() or int(hi) <= int(lo):
            raise Refused(f"--windows {part!r}: write LO-HI with LO below HI, or name a file of `runs history --json`")
        ranges.append((int(lo), int(hi), 0, None))
    if not ranges:
        raise Refused("--windows names no range: write LO-HI, or name a file of `runs history --json`")
    return tuple(ranges)


def _windows_of_file(path: Path) -> tuple[tuple[int, int, int, str | None], ...]:
    import orjson

    try:
        text = path.read_bytes()
        found = (
            orjson.loads(text) if text.lstrip().startswith(b"[") else [orjson.loads(x) for x in text.splitlines() if x]
        )
        return tuple(
            (int(each["lo"]), int(each["hi"]), int(each.get("first_row", 0)), each.get("bounds")) for each in found
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"--windows {path}: not what `runs history RUN --json` prints ({error})") from None
