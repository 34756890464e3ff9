"""Settings of autoscaling: when there are more replicas of a model, and when fewer."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from cluster.settings.base import Group, Seconds

Speed = Annotated[float, Field(gt=0)]


class ScalingSettings(Group):
    """How many replicas a role has between its smallest and its largest number."""

    model_config = SettingsConfigDict(
        env_prefix="RAYSCRIBE_SCALING_", extra="ignore", frozen=True, populate_by_name=True
    )

    live_goal_seconds: Seconds = 60
    """Within so many seconds what waits in the `live` lane should be done: more replicas come where
    those there are would take longer."""
    interactive_goal_seconds: Seconds = 600
    """The same of the `interactive` lane, with what goes before it."""
    bulk_goal_seconds: Seconds = 14400
    """The same of all that waits. Shorter is sooner done, with more replicas that are idle then."""
    up_seconds: Annotated[float, Field(ge=0)] = 30
    """More replicas start only after they were wanted for so long: a model takes about that time to
    load."""
    down_seconds: Seconds = 300
    """Fewer are left only after so long without a need for more: what was loaded is soon wanted
    again."""
    zero_seconds: Seconds = 900
    """The last replica of the language model goes only after so long without a call, where its
    smallest number is 0."""
    busy_share: Annotated[float, Field(gt=0, le=1)] = 0.9
    """No replica goes while those that stay would be busier than this: it would be wanted again at
    once."""
    report_seconds: Seconds = 30
    """What replicas say of themselves counts over this time, and is said five times in it."""
    transcriber_rtfx: Speed = 12
    """Audio seconds that one replica works through in a second, until it is measured: Whisper
    `base` on two cores."""
    aligner_rtfx: Speed = 11
    """The same of word alignment."""
    speaker_segmenter_rtfx: Speed = 16
    """The same of speaker segmentation."""
    speaker_embedder_rtfx: Speed = 9
    """The same of speaker embedding."""
    surge_percent: Annotated[int, Field(ge=0, le=100)] = 100
    """An update starts so many replicas more, in percent of those there are, before it stops the
    old ones; nobody waits then. Roles on a GPU stop the old one first: it holds the memory."""
