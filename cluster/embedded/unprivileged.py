"""PostgreSQL refuses to run as root: the ways of starting it all the same, without an account."""

import os
import subprocess
from pathlib import Path

from cluster.embedded.errors import EmbeddedError

# Root outside, uid 1000 inside a user namespace: files below a private home stay reachable and
# nothing is chowned. Docker's default seccomp profile forbids it.
NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")

# The account `nobody`, which may still pass through directories of root (DAC_OVERRIDE is among
# Docker's default capabilities). PostgreSQL asks access(2), which drops capabilities of ordinary
# users unless NO_SETUID_FIXUP is set.
NOBODY = 65534
ACCOUNT = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
    "--securebits=+no_setuid_fixup",
)


def prefix(directory: Path) -> tuple[str, ...]:
    """What to put before a command line so that it may own `directory` and is not root."""
    if os.geteuid() != 0:
        return ()
    if _works(NAMESPACE):
        _give(directory, 0)
        return NAMESPACE
    if _works(ACCOUNT):
        _give(directory, NOBODY)
        return ACCOUNT
    raise EmbeddedError(
        "PostgreSQL does not run as root here (unshare and setpriv are both refused): "
        "run rayscribe as an ordinary user, or name a server with DATABASE_URL"
    )


def _works(command: tuple[str, ...]) -> bool:
    try:
        return subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _give(directory: Path, uid: int) -> None:
    """Make `uid` the owner of everything below `directory`, unless it is already."""
    if directory.stat().st_uid == uid:
        return
    for path in [*directory.rglob("*"), directory]:
        os.chown(path, uid, -1, follow_symlinks=False)
