"""Questions to the relational store: async functions, session first, scoped by owner in SQL."""
