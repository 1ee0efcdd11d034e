"""Where a server keeps data: proposed as a root, with the option or variable that says so."""

from __future__ import annotations

import json

import pytest

from toolward.config.clients.data_places import DataPlace, data_places
from toolward.config.clients.importing import ImportContext, ImportPlan, plan_import

DIRECTORIES = frozenset({"/data/db", "/data/memory", "/data/papers", "/home/ada", "/opt/x"})


def found(*arguments: str, cwd: str = "", **env: str) -> list[DataPlace]:
    return list(data_places(arguments, env, cwd=cwd))


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("--db-path", "/data/db/x.db"), DataPlace("/data/db/x.db", "db-path", True)),
        (("--db=/data/db/x.SQLITE3",), DataPlace("/data/db/x.SQLITE3", "db", True)),
        (("/data//db/./x.duckdb",), DataPlace("/data/db/x.duckdb", "/data//db/./x.duckdb", True)),
        (("--url", "sqlite:////data/db/any?mode=rw"), DataPlace("/data/db/any", "url", True)),
        (("--storage", "/data/papers"), DataPlace("/data/papers", "storage", False)),
    ],
)
def test_arguments_that_name_data(arguments: tuple[str, ...], place: DataPlace) -> None:
    assert found(*arguments) == [place]


def test_variables_that_name_data() -> None:
    assert found(MEMORY_FILE_PATH="/data/memory/m.jsonl", DB_URL="sqlite+pysqlite:////data/db/x.db") == [
        DataPlace("/data/memory/m.jsonl", "MEMORY_FILE_PATH", True),
        DataPlace("/data/db/x.db", "DB_URL", True),
    ]


def test_a_relative_file_counts_from_where_the_server_runs() -> None:
    assert found("m.jsonl") == []
    assert found("m.jsonl", cwd="/data/memory") == [DataPlace("/data/memory/m.jsonl", "m.jsonl", True)]
    assert found("sqlite:///x.db", cwd="/data/db")[0].path == "/data/db/x.db"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--config", "/home/ada/.x/settings.json"),
        ("--api-key", "/home/ada/key.json"),
        ("--settings=/home/ada/s.json",),
        ("postgresql://db/x.db",),
        ("-q",),
        ("/",),
    ],
)
def test_what_is_no_data_is_no_place(arguments: tuple[str, ...]) -> None:
    assert found(*arguments) == []
    assert found(GOOGLE_APPLICATION_CREDENTIALS="/home/ada/.config/gcloud/key.json") == []


# --- as roots ----------------------------------------------------------------------------------------


def imported(*args: str, **env: str) -> ImportPlan:
    text = json.dumps({"mcpServers": {"s": {"command": "/opt/x/serve", "args": args, "env": env}}})
    context = ImportContext(
        is_directory=DIRECTORIES.__contains__,
        not_grantable=lambda path: "too wide" if path in {"/home/ada", "/opt/x"} else "",
    )
    return plan_import(text, file="/c.json", context=context)


def roots(plan: ImportPlan) -> tuple[str, ...]:
    return plan.servers["s"].roots


def test_the_directory_of_a_database_is_a_root_and_that_is_said() -> None:
    plan = imported("--db-path", "/data/db/x.db", MEMORY_FILE_PATH="/data/memory/m.json")
    assert roots(plan) == ("/data/db", "/data/memory")
    assert plan.notes == (
        "`s` may read and write in `/data/db`, one of its `roots`, for `db-path`",
        "`s` may read and write in `/data/memory`, one of its `roots`, for `MEMORY_FILE_PATH`",
    )


def test_a_directory_that_the_environment_names_is_a_root() -> None:
    assert roots(imported(STORAGE="/data/papers")) == ("/data/papers",)
    assert roots(imported(STORAGE="/data/gone")) == ()


def test_a_directory_that_holds_more_is_no_root_and_the_person_is_told_what_to_do() -> None:
    plan = imported("--db-path", "/home/ada/x.db", HOME="/home/ada")
    assert roots(plan) == ()
    (note,) = plan.notes
    assert "too wide" in note
    assert "name that under `roots`" in note


def test_what_lies_in_a_root_already_is_not_repeated() -> None:
    plan = imported("/data/db", "--db", "/data/db/x.db")
    assert (roots(plan), plan.notes) == (("/data/db",), ())
