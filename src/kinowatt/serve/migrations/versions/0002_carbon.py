"""Carbon: limits per day, what each job emitted, and jobs that wait for greener electricity

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NEW = {"keys": ("gco2e_per_day",), "videos": ("not_before", "deadline", "carbon_gCO2e")}


def upgrade() -> None:
    """Add the columns; what was made before has no known carbon."""
    for table, columns in NEW.items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for column in columns:
                batch_op.add_column(sa.Column(column, sa.Float(), nullable=True))


def downgrade() -> None:
    """Take them away."""
    for table, columns in NEW.items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            for column in columns:
                batch_op.drop_column(column)
