"""The way to the database: connections, installing sql/, named queries, the catalogue of tables, jobs and hooks."""
