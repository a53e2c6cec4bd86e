"""Run by Alembic: on the connection that `migrate` was given, inside its transaction."""

from alembic import context

from service.feedback.store.tables import Base

connection = context.config.attributes["connection"]
# SQLite's own BEGIN, which the connection has begun with, also holds for tables.
context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
context.run_migrations()
