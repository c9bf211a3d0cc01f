"""The catalog in a PostgreSQL database, which machines share."""
