"""Prepare: decode the file block by block, find speech, cut windows."""

import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from pipelines.stages.base import Context, Recording, fingerprint, patiently
from pipelines.windows import cut_windows
from serving.speech import DecodedBlock, Preparation

STORED = TypeAdapter(Preparation)
FACTS, THUMBNAIL = 0, 1
"""Parts of the checkpoint: JSON, and a JPEG."""


class Prepare:
    """File to decoded audio and windows."""

    name = "prepare"

    async def run(self, recording: Recording, context: Context) -> Mapping[str, Any]:
        """Decode, unless the audio of an earlier attempt is still there."""
        key = fingerprint(recording.sha256, self.name)
        stored = await context.checkpoints.load(self.name, key)
        if FACTS in stored:
            facts = STORED.validate_json(stored[FACTS])
            preparation = replace(facts, thumbnail=stored.get(THUMBNAIL))
            if await context.audio.complete(preparation.duration):
                return self._result(preparation)
        preparation = await self._decode(recording, context)
        # The picture first: where the facts are, all is.
        if preparation.thumbnail is not None:
            await context.checkpoints.save(self.name, key, THUMBNAIL, preparation.thumbnail)
        told = STORED.dump_json(replace(preparation, thumbnail=None))
        await context.checkpoints.save(self.name, key, FACTS, told)
        return self._result(preparation)

    async def _decode(self, recording: Recording, context: Context) -> Preparation:
        done, started = 0.0, time.monotonic()
        decoding = context.ports.preparer.prepare(recording.source, context.lane)
        # Closed with this block: an error here must end the decoder there.
        async with aclosing(decoding) as items:
            async for item in items:
                if isinstance(item, Preparation):
                    context.progress(self.name, item.duration, item.duration)
                    context.pace.note(self.name, item.duration, time.monotonic() - started)
                    return item
                await self._keep(item, context)
                done += 1.0
                # The length is not known before the end, so the bar approaches it.
                context.progress(self.name, done, done + 1.0)
        raise RuntimeError("the preparer ended without a Preparation")

    @staticmethod
    async def _keep(block: DecodedBlock, context: Context) -> None:
        await patiently(context, lambda: context.audio.write(block.index, block.audio))

    @staticmethod
    def _result(preparation: Preparation) -> Mapping[str, Any]:
        return {"preparation": preparation, "windows": cut_windows(preparation.regions)}
