"""Stores of every older fgctl are brought up to date, all at once or not at all."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from rewards.errors import FgctlError
from service.domain.caller import Caller
from service.feedback import migrations
from service.feedback.agreement.from_store import load_ratings
from service.feedback.store.annotation_priority import derived_columns
from service.feedback.store.database import async_url, create
from service.feedback.store.feedback_store import open_store
from service.feedback.store.tables import Base

pytestmark = pytest.mark.anyio


@pytest.fixture
async def raw(url):
    """Runs a function on a connection to the database, without migrating it."""
    engine = create(async_url(url))

    async def run(function, *arguments):
        async with engine.begin() as connection:
            return await connection.run_sync(function, *arguments)

    yield run
    await engine.dispose()


def revision(connection):
    return MigrationContext.configure(connection).get_current_revision()


async def test_the_migrations_create_the_declared_tables(store, raw):
    def differences(connection):
        options = {"compare_type": lambda *_: None}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)

    assert await raw(differences) == []
    assert await raw(revision) == "0012"


async def test_a_store_of_the_first_revision(raw, open_, answer, annotation):
    responses = [answer("r1", "Text 👩‍👩‍👧\x00."), answer("r2", question=""), answer("r3", "Third.")]

    def fill(connection):
        migrations.migrate(connection, "0001")
        tables = sa.MetaData()
        tables.reflect(connection)
        at = (
            "2025-01-01 00:00:00.000000+00:00"
            if connection.dialect.name == "postgresql"
            else "2025-01-01 00:00:00.000000"
        )
        for response in responses:
            row = response.model_dump(mode="json")
            words = {name: json.dumps(row[name]) for name in ("weights", "question", "passages", "text", "extra")}
            row |= words | {"created": at}
            columns = ", ".join(row)
            connection.execute(
                sa.text(f"INSERT INTO responses ({columns}) VALUES ({', '.join(f':{name}' for name in row)})"),  # noqa: S608
                row,
            )
        connection.execute(sa.text(f"INSERT INTO annotators (id, name, created) VALUES (1, 'Ann', '{at}')"))  # noqa: S608

    await raw(fill)
    assert await raw(revision) == "0001"
    store = await open_()
    stored = {response.id: response for response in (await store.responses()).items}
    for response in responses:
        assert (stored[response.id].text, stored[response.id].passages) == (response.text, response.passages)

    def columns(connection):
        rows = connection.execute(
            sa.text("SELECT id, annotatable, prompt_key, text_key, lot, overlap_lot FROM responses")
        )
        return {row.id: dict(row._mapping) | {"annotatable": bool(row.annotatable)} for row in rows}

    rows = await raw(columns)
    for r in responses:
        assert rows[r.id] == {"id": r.id} | derived_columns(r.id, r.question, r.passages, r.text)
    await store.submit(annotation(errors=()), by=Caller("key:1"))
    assert (await store.next_response_for("Ann")).response.id == "r3"
    assert [(person.name, person.caller) for person in await store.annotators()] == [("Ann", "key:1")]


async def test_names_from_before_keys_belong_to_the_next_key_that_uses_them(raw, open_, answer):
    def fill(connection):
        migrations.migrate(connection, "0002")
        tables = sa.MetaData()
        tables.reflect(connection)
        at = datetime(2025, 1, 1, tzinfo=UTC)
        rows = [{"id": 1, "name": "Ann 👩‍👩‍👧", "created": at}, {"id": 2, "name": "Bob", "created": at, "retired": at}]
        for row in rows:
            connection.execute(sa.insert(tables.tables["annotators"]).values(row))

    await raw(fill)
    assert await raw(revision) == "0002"
    store = await open_()
    assert await raw(revision) == "0012"
    people = [(person.name, person.retired is None, person.caller) for person in await store.annotators()]
    assert people == [("Ann 👩‍👩‍👧", True, None), ("Bob", False, None)]
    await store.record_response(answer())
    await store.save_draft("Ann 👩‍👩‍👧", "r1", {}, Caller("key:1"))
    assert (await store.sign_in("Ann 👩‍👩‍👧")).caller == "key:1"


async def test_names_of_before_that_differ_in_case_alone_stay_apart_and_agree_as_one_person(
    raw, open_, answer, annotation, scored
):
    def fill(connection):
        migrations.migrate(connection, "0003")
        tables = sa.MetaData()
        tables.reflect(connection)
        at = datetime(2025, 1, 1, tzinfo=UTC)
        for number, name in enumerate(("Ada", "ada", " Straße "), 1):
            row = {"id": number, "name": name, "created": at}
            connection.execute(sa.insert(tables.tables["annotators"]).values(row))

    await raw(fill)
    store = await open_()
    await store.record_response(answer())
    await store.record_scores("r1", "v1", scored())
    for name in ("Ada", "ada", "ADA", "strasse"):
        await store.submit(annotation(f"s {name}", annotator=name))
    stored = [(a.annotator, a.version) for a in (await store.annotations()).items]
    assert stored == [("Ada", 1), ("ada", 1), ("Ada", 2), (" Straße ", 1)]
    ratings, _ = await load_ratings(store)
    assert sorted(rating.annotator for rating in ratings) == [" Straße ", "ada"]


async def test_a_migration_that_fails_changes_nothing(raw, url, monkeypatch):
    await raw(migrations.migrate, "0001")

    def tables(connection):
        return {
            (t, c["name"])
            for t in sa.inspect(connection).get_table_names()
            for c in sa.inspect(connection).get_columns(t)
        }

    before = await raw(tables)
    await raw(lambda connection: connection.execute(sa.text("CREATE INDEX ix_responses_lot ON audit (at)")))
    with pytest.raises(FgctlError, match="ix_responses_lot"):
        await open_store(url)
    assert await raw(tables) == before
    assert await raw(revision) == "0001"


async def test_processes_that_open_a_new_store_at_once(open_):
    stores = await asyncio.gather(*(open_() for _ in range(4)))
    assert [(await store.counts()).responses for store in stores] == [0] * 4


async def test_a_store_of_a_newer_fgctl_is_left_alone(store, raw, url):
    await raw(lambda connection: connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(FgctlError, match="update fgctl"):
        await open_store(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite:///x.db"),
        ("sqlite:////a/x.db", "sqlite+aiosqlite:////a/x.db"),
        ("postgresql://u@h:1/d?sslmode=require", "postgresql+psycopg://u@h:1/d?sslmode=require"),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
    ],
)
async def test_urls(url, expected):
    assert async_url(url).render_as_string(hide_password=False) == expected


@pytest.mark.parametrize("url", ["", "x.db", "mysql://h/d", "sqlite://", "sqlite:///:memory:", "postgresql://h:port/d"])
async def test_urls_that_are_refused(url):
    with pytest.raises(FgctlError, match="give sqlite:///PATH"):
        async_url(url)


async def test_a_file_or_server_that_is_not_a_database(tmp_path):
    (tmp_path / "x.db").write_text("no database at all, but long enough to have a header" * 20)
    with pytest.raises(FgctlError, match="damaged"):
        await open_store(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(FgctlError, match="cannot be created"):
        await open_store(f"sqlite:///{tmp_path}/x.db/y/x.db")
    with pytest.raises(FgctlError, match=r"does not respond \(.*127.0.0.1"):
        await open_store("postgresql://fgctl@127.0.0.1:1/x")
