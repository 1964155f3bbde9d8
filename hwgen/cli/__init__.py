"""The command line. The only package that prints or ends the program."""

from __future__ import annotations

import sys

import click

from hwgen.cli.build import check_command, demo_command, generate_command, list_command
from hwgen.cli.device import host_command
from hwgen.cli.faults import inject_command
from hwgen.cli.protect import protect_command
from hwgen.cli.run import diff_command, run_command
from hwgen.cli.sites import sites_command
from hwgen.cli.synth import synth_command
from hwgen.cli.terminal import ERR
from hwgen.errors import HwgenError
from hwgen.version import VERSION

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="hwgen")
def cli() -> None:
    """Generate neural-network hardware, check it against its models, and run real networks on it."""


for _command in (
    list_command, generate_command, check_command, run_command, diff_command, sites_command, inject_command,
    protect_command, synth_command, demo_command, host_command,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """Run the command line; errors are one sentence on standard error and the error's exit code."""
    try:
        cli(prog_name="hwgen", standalone_mode=False)
    except HwgenError as error:
        ERR.print(f"hwgen: {error}", soft_wrap=True, markup=False)
        sys.exit(error.exit_code)
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        ERR.print(f"hwgen: {error.format_message()}{hint}", soft_wrap=True, markup=False)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        ERR.print("hwgen: interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main()
