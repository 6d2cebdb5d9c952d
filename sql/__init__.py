"""PostgreSQL under Trio: driver, pool, migrations, the store and its queries."""
