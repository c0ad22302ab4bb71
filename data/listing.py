"""The registry for people: a table, one entry in detail, the table of data/README.md."""

from data.disk import human
from data.registry import Archive, Entry
from data.store import Store


def _rows(registry: dict[str, Entry]) -> list[list[str]]:
    return [
        [entry.name, "-" if entry.how == "embedded" else human(entry.size), entry.licence]
        for entry in registry.values()
    ]


def table(registry: dict[str, Entry], store: Store) -> str:
    """Name, size, licence, state on this disk."""
    rows = [["name", "size", "licence", "state"]]
    rows += [[*row, store.state(entry)] for row, entry in zip(_rows(registry), registry.values(), strict=True)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def markdown(registry: dict[str, Entry]) -> str:
    """The table of data/README.md; nothing in it depends on this machine."""
    rows = [["name", "size", "licence", "how", "what"], ["---"] * 5]
    rows += [
        [f"`{row[0]}`", *row[1:], entry.how, f"[{entry.title}]({entry.homepage})"]
        for row, entry in zip(_rows(registry), registry.values(), strict=True)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _archive_lines(archive: Archive) -> list[str]:
    published = archive.published
    return [
        f"  {archive.file}",
        f"    size    {published.size if published.size is not None else 'unknown'}",
        f"    sha256  {published.sha256 or 'unknown'}",
        f"    md5     {published.md5 or 'unknown'}",
        *[f"    from    {address}" for address in archive.addresses or ("unknown",)],
        *[f"    member  {name}  md5 {member.md5 or 'unknown'}" for name, member in archive.members.items()],
    ]


def details(entry: Entry, store: Store) -> str:
    """Everything the registry says of one entry."""
    lines = [
        f"{entry.name}: {entry.title}",
        f"how      {entry.how}",
        f"licence  {entry.licence}",
        f"see      {entry.homepage}",
        f"cite     {entry.citation}",
        f"state    {store.state(entry)}",
    ]
    if entry.note:
        lines.append(f"note     {entry.note}")
    if entry.how != "embedded":
        lines.append(f"folder   {store.root / entry.folder}")
    for archive in entry.archives:
        lines += _archive_lines(archive)
    return "\n".join(lines)
