"""The steps from any older feedback store to today's tables. Opening a store runs them, all or none."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection

from rewards.errors import FgctlError

HEAD = "head"


def migrate(connection: Connection, revision: str = HEAD) -> None:
    """Bring the tables to a revision, inside the connection's transaction.

    Raises FgctlError for a store written by a newer version of fgctl.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        if isinstance(error.__cause__, ResolutionError) or "Can't locate revision" in str(error):
            newest = ScriptDirectory.from_config(config).get_current_head()
            raise FgctlError(
                f"The feedback store was written by a newer fgctl; this one knows tables up to {newest}; update fgctl."
            ) from None
        raise
