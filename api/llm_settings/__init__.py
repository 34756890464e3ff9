"""Language models that users and administrators set up."""
