"""What Alembic runs to migrate: on the connection, and in the transaction, of its caller."""

from alembic import context

from uploadstream.adapters.catalog.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
