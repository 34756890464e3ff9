"""What `rayscribe up --demo --llm` shows after the transcript: its summary, and what that took."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from rayscribe.api_client import ApiClient, ApiFailure


def show(client: ApiClient, file_id: str, console: Console) -> None:
    """Have a file summarised, unless that happens already, and print what came of it.

    A summary that fails is said: the transcript is there, and the service goes on.
    """
    try:
        _show(client, file_id, console)
    except ApiFailure as failure:
        console.print(f"\nNo summary: {failure}", style="red", markup=False)


def _show(client: ApiClient, file_id: str, console: Console) -> None:
    state = client.summary_state(file_id)
    if not state["llm_available"]:
        console.print("\nNo summary: no language model runs (see `language` above).")
        return
    if not state["summary_exists"]:
        _await(client, (state["task"] or client.summarize(file_id))["id"], console)
    _print(client.summary(file_id), console)


def _await(client: ApiClient, task_id: str, console: Console) -> None:
    console.print("\nSummarising it with the language model inside the cluster")
    with console.status("waiting") as status:
        for task in client.follow(task_id):
            status.update(f"{task['stage'] or task['state']} {task['progress']:.0%}")
    if task["state"] != "completed":
        raise ApiFailure(task["error_message"] or f"the task was {task['state']}")


def _print(summary: Mapping[str, Any], console: Console) -> None:
    content = summary["content"]
    tokens, seconds = summary["completion_tokens"], summary["seconds"]
    console.print(f"[bold]In short[/]  {content['bluf']}", highlight=False)
    console.print(content["brief_summary"], highlight=False, markup=False)
    for topic in content["major_topics"]:
        console.print(f"• {topic['topic']} {topic['timestamp_range']}", markup=False)
        for point in topic["key_points"]:
            console.print(f"  - {point}", highlight=False, markup=False)
    for action in content["action_items"]:
        who = action["owner"] or "somebody"
        console.print(f"→ {who}: {action['item']}", highlight=False, markup=False)
    console.print(
        f"{summary['model']}: read {summary['prompt_tokens']} tokens, wrote {tokens} in "
        f"{seconds:.1f} s ({tokens / max(seconds, 0.1):.1f} tokens/s), {summary['calls']} calls",
        highlight=False,
    )
