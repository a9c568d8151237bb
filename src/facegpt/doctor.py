"""What `facegpt doctor` prints: every asset with its state, licence and the next command.

Knows assets only, not whether a file can be used: the loaders find that out.
"""

from facegpt.assets import AssetStatus, asset_status, data_directory

_MARKS = {"present": "ok", "missing": "--", "wrong checksum": "!!", "unreadable": "!!"}
_COMMERCIAL = {True: "yes", False: "no", None: "unclear"}


def doctor_report() -> tuple[str, int]:
    """The report, and the exit code: 0 when everything that the default road needs is right."""
    rows = asset_status()
    needed = [row for row in rows if row.asset.needed]
    optional = [row for row in rows if not row.asset.needed]
    broken = [row for row in needed if row.state != "present"]
    damaged = [row for row in optional if row.state not in ("present", "missing")]
    lines = ["Needed from photo to head:", *_table(needed), "", "Optional:", *_table(optional)]
    lines += [
        "",
        f"Assets you add are kept in {data_directory() / 'assets'}; nothing is downloaded.",
    ]
    lines += [_advice(row) for row in [*broken, *damaged]]
    if not broken:
        lines.append("Everything that is needed is there.")
    return "\n".join(lines), 1 if broken else 0


def _table(rows: list[AssetStatus]) -> list[str]:
    lines = []
    for row in rows:
        asset = row.asset
        mark, name = _MARKS[row.state], asset.name
        lines.append(f"  {mark} {name:<20} {row.state}{f': {row.path}' if row.path else ''}")
        lines.append(f"     licence: {asset.licence}")
        lines.append(f"     commercial use: {_COMMERCIAL[asset.commercial_use]}")
        lines.append(f"     from: {asset.homepage}")
        if row.state != "present":
            lines.append(f"     get it: {asset.how_to_get}")
            lines.append(f"     then: {asset.next_command}")
    return lines


def _advice(row: AssetStatus) -> str:
    return f"{row.asset.name} is {row.state}: {row.asset.next_command}"
