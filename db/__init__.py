"""What is remembered: the relational store and the object store."""
