"""What is done: stages, their order, the task queue and the runner."""
