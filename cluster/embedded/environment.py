"""The environment that all parts of an installation share: addresses, secrets, profile, paths.

Ray's workers inherit it from `ray start`; other commands of the same machine load what is kept.
"""

import os
from pathlib import Path

from cluster.embedded.state import make_private, secret
from cluster.node_environment import SILENCE
from cluster.settings import Profile, Settings

ROOT = Path(__file__).resolve().parents[2]
"""The folder of our packages: first on the path, or a stranger's `db` would win."""


def resolve_profile(profile: Profile) -> Profile:
    """The profile to use: `auto` is `gpu` where NVIDIA devices exist and are not hidden."""
    if profile is not Profile.auto:
        return profile
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1", "NoDevFiles"}
    devices = [] if hidden else list(Path("/dev").glob("nvidia[0-9]*"))
    return Profile.gpu if devices else Profile.cpu


def shared_environment(settings: Settings, data_dir: Path) -> dict[str, str]:
    """What every part is told, but for the servers' addresses."""
    profile = resolve_profile(settings.speech.profile)
    threads = str(settings.speech.threads_per_replica)
    key = settings.auth.secret_key
    environment = {
        **SILENCE,
        "RAYSCRIBE_PROFILE": profile.value,
        "RAYSCRIBE_DATA_DIR": str(data_dir),
        "RAYSCRIBE_LOG_DIR": str(settings.logs.log_dir or make_private(data_dir / "logs")),
        "MODEL_CACHE_DIR": str(settings.paths.model_dir.resolve()),
        "SECRET_KEY": key.get_secret_value() if key else secret(data_dir / "secret_key"),
        "PYTHONPATH": python_path(),
        "OMP_NUM_THREADS": threads,
    }
    if profile is Profile.cpu:
        # The weights of this profile are on disk; a hub would only be asked by mistake.
        environment["HF_HUB_OFFLINE"] = "1"
    return environment


def python_path() -> str:
    """PYTHONPATH with our packages first."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [str(Path(entry).resolve()) for entry in entries if entry]
    return os.pathsep.join(dict.fromkeys([str(ROOT), *others]))
