"""What Alembic runs to migrate: on its caller's connection.

On SQLite all steps are in the transaction of the caller. On PostgreSQL each is one of its own, so that nothing is
locked for longer than it takes.
"""

from alembic import context

from uploadstream.adapters.catalog.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=METADATA, transaction_per_migration=connection.dialect.name == "postgresql"
)
if connection.dialect.name == "postgresql":
    with context.begin_transaction():
        context.run_migrations()
else:
    context.run_migrations()
