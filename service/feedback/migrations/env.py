"""Alembic runs this file, on the connection that `migrate` was given and inside its transaction."""

from alembic import context

connection = context.config.attributes["connection"]
# The transaction that SQLAlchemy has begun also covers changes of tables, in SQLite as well.
context.configure(connection=connection, transactional_ddl=True)
context.run_migrations()
