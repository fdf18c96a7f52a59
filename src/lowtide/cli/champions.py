"""`lowtide champions`: who was champion when."""

from dataclasses import asdict

from lowtide.cli.app import Json, app, show


@app.command()
def champions(as_json: Json = False) -> None:
    """Each model that was champion in the registry: since when, how, and who answered for it."""
    from lowtide.registry import history
    from lowtide.tracking import tracking_uri

    events = history(tracking_uri())
    found = [
        {key: value for key, value in asdict(event).items() if key not in {"number", "state"}}
        for event in events
    ]
    lines = [
        f"{one.at}  version {one.version} (before: {one.before or 'none'}), {one.kind}"
        f"{f' by {one.by}: {one.why}' if one.by else ''}"
        for one in events
    ]
    show({"champions": found}, as_json, "\n".join(lines) or "nobody was champion yet")
