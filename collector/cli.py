"""``assay``: one subcommand a module of collector.commands; no logic here."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from collector.about import own_version
from collector.config import ConfigError
from collector.source import SourceError

DESCRIPTION = "Tests the quality of every LLM call that streams through Kafka as OpenTelemetry."
COMMANDS = {
    "run": "consume, score, count and serve, as the configuration says",
    "demo": "the whole of Assay in one process, with traffic of its own",
    "decode": "print the calls that files of telemetry hold, one JSON object a line",
    "doctor": "say per service what is captured, what is missing and which setting fixes it",
    "score": "run the signals over a file of exchanges",
    "agreement": "say how far raters agree with each other, and a score with them",
    "drift": "say whether the traffic of one file has drifted from another's, and in which topics",
    "sql": "ask the rollups and calls of a running or stopped daemon",
    "verify": "walk the chain, balance the counts, rebuild beside the live view and compare",
    "snapshot": "copy the newest snapshot to a file or a folder of Parquet",
    "snippets": "say what is kept of texts for the evidence pages, and delete it",
    "dead-letters": "list the records that could not be decoded, write them to files or send them again",
    "import-detoxify": "convert a Detoxify checkpoint to a directory without pickle",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status (2: the usage or the configuration is wrong)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="assay", description=DESCRIPTION, epilog="assay COMMAND --help says more.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {own_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if arguments and arguments[0] == name:  # only the chosen one is imported: `assay sql` needs no torch
            module = importlib.import_module(f"collector.commands.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        status: int = args.run(args)
    except (ConfigError, SourceError) as error:
        print(f"assay {args.command}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    return status


if __name__ == "__main__":
    sys.exit(main())
