"""Vectors by collection and owner: the port, and its adapters for pgvector and Qdrant."""
