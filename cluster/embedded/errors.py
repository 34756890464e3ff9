"""What can go wrong with the embedded parts: each message is one line that says what to do."""


class EmbeddedError(Exception):
    """An embedded part cannot start or run."""


class AlreadyRunning(EmbeddedError):
    """Another process holds the data directory."""


class Stopped(BaseException):
    """The operator asked us to stop (Ctrl-C, SIGTERM) while something was being started."""
