"""How a program speaks to its user: mistakes of theirs in one line, with exit code 1."""

from __future__ import annotations

import difflib
import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException

from depictqa.signals import INTERRUPTED, REQUEUE, STOP
from experiments.quoting import as_typed

if TYPE_CHECKING:
    from datamodules.parts import Part

DEBUG = "DEPICTQA_DEBUG"
UNREAD_EXIT = 2
"""The exit code where a result has an error: figures are there, but do not stand on all samples."""

# Hydra prints its own errors over several lines unless it is told to let them through.
os.environ.setdefault("HYDRA_FULL_ERROR", "1")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns an error of the user's making into one line on stderr and SystemExit(1).

    These are ValueError, OSError (a missing file, a full disk) and what Hydra and OmegaConf say of a configuration.
    Anything else is a bug and keeps its stack; with DEPICTQA_DEBUG=1 everything does.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr, flush=True)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:  # `run.py --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        message = user_message(error)
        if message is None or os.environ.get(DEBUG, "0") not in ("", "0"):
            raise
        print(f"error: {message}", file=sys.stderr, flush=True)
        raise SystemExit(1) from error


def user_message(error: BaseException) -> str | None:
    """The one line for the user, or None where the error is not theirs."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return user_message(error.__cause__)
    theirs = (ValueError, OSError, HydraException, OmegaConfBaseException)
    if not isinstance(error, theirs) and type(error).__name__ != "MisconfigurationException":
        return None
    if isinstance(error, MissingConfigException) and "/" in (error.missing_cfg_file or ""):
        return _of_choice(error)
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return _of_system(error)
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OverrideParseException):
        return _of_signs(error.override) or message
    if match := re.fullmatch(r"Could not override '(.+)'\. To append to your config use .*", message):
        return f"key '{match[1]}' unknown{_elsewhere(match[1]) or _nearest(match[1])}; --cfg job shows all keys"
    if match := re.fullmatch(r"schema/(\w+)@\S+?\.(\w+) appears more than once in the final defaults list", message):
        return f"{match[1]} '{match[2]}' is named twice; name it once"
    if message.startswith("Config group override must be a string"):
        return _of_no_name() or message
    if isinstance(error, ConfigCompositionException) and error.__cause__ is not None:
        message = f"{message}: {str(error.__cause__).splitlines()[0]}"
        given = re.match(r"Error merging override (\S+)=(.+?): .*is not a ListConfig", message)
        return f"{message}; give a list: {given[1]}=[{given[2]}]" if given else message
    return message


def _of_signs(word: str) -> str | None:
    """Of a word with signs that Hydra cannot read: how it is typed as a text. Not of a list or mapping."""
    key, equals, value = word.partition("=")
    if not equals or value.startswith(("[", "{")) or not re.fullmatch(r"[+~]*[\w./@]+", key):
        return None
    return f"{word}: its signs mean something else here; quote it twice: {as_typed(word)}"


def _of_system(error: OSError) -> str:
    """What the system refused, where, and what helps."""
    where = f"'{error.filename}': " if error.filename else ""
    helps = {
        errno.ENOSPC: "free some space, then run the same command again",
        errno.EDQUOT: "free some space, then run the same command again",
    }
    return f"{where}{str(error.strerror).lower()}; {helps.get(error.errno or 0, 'mend or choose another path')}"


def _of_choice(error: MissingConfigException) -> str:
    """Of a config group: which it was, and what it has. Of one choice of several (`baseline=[a,b]`) Hydra does not say
    what else there is."""
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    return f"{group} '{choice}' unknown; choose {', '.join(error.options or _options(group))}"


def _of_no_name() -> str | None:
    """Of a config group that is given no name (`model=null`), which Hydra does not say."""
    for word in sys.argv[1:]:
        group, _, choice = word.partition("=")
        if choice and _options(group) and not isinstance(OverridesParser.create().parse_override(word).value(), str):
            return f"{word}: choose {', '.join(_options(group))}, or leave it out"
    return None


def _options(group: str) -> list[str]:
    from experiments.schemas import CONF

    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def _elsewhere(key: str) -> str:
    """Of a key of a single source, which the mixtures have not."""
    if key not in ("data.root", "data.repeat"):
        return ""
    from datamodules.sources.synthetic import SOURCES

    return f", but with data={'|'.join(SOURCES)} it is known"


def _nearest(key: str) -> str:
    """`, did you mean 'trainer.max_epochs'?`, or nothing."""
    from omegaconf import OmegaConf

    from experiments.schemas import RunConfig

    def names(node: object, before: str) -> Iterator[str]:
        for name in node if OmegaConf.is_dict(node) else ():  # type: ignore[attr-defined]
            yield f"{before}{name}"
            if not OmegaConf.is_missing(node, name):
                yield from names(node[name], f"{before}{name}.")  # type: ignore[index]

    close = difflib.get_close_matches(key, names(OmegaConf.structured(RunConfig), ""), n=1, cutoff=0.8)
    return f", did you mean '{close[0]}'?" if close else ""


def relative(path: str | Path) -> Path:
    """`path` as seen from here where it lies below, which is shorter to read."""
    return Path(path).relative_to(Path.cwd()) if Path(path).is_relative_to(Path.cwd()) else Path(path)


def hear_stop() -> dict[signal.Signals, Any]:
    """From now on SIGTERM and SIGUSR1 raise SystemExit(143). Returns the handlers before."""

    def stop(*_: object) -> None:
        raise SystemExit(REQUEUE)

    return {which: signal.signal(which, stop) for which in STOP}


@contextmanager
def terminating() -> Iterator[None]:
    """SIGTERM and SIGUSR1 end the block as Ctrl-C does, with exit code 143, so that what it does on its way out is
    done."""

    before = hear_stop()
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


@contextmanager
def part_progress(parts: Sequence[Part]) -> Iterator[Callable[[Part, int], None]]:
    """A bar for each part of a build; what it yields is called with a part and how many more records are done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as bars:
        tasks = {(p.source, p.split): bars.add_task(f"{p.source}/{p.split}", total=len(p.items)) for p in parts}
        yield lambda part, done: bars.advance(tasks[part.source, part.split], done)
