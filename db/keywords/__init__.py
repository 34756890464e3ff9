"""Search by words: one port, on Meilisearch or in PostgreSQL."""
