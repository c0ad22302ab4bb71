"""What every command line here accepts. Standard library only."""


def underscored(argument: str) -> str:
    """`--batch-size=4` as `--batch_size=4`; values keep their hyphens."""
    name, equals, value = argument.partition("=")
    return name[:2] + name[2:].replace("-", "_") + equals + value if name.startswith("--") else argument
