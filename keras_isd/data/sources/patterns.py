"""Files from paths and patterns, such as `train-{000..009}.tar` or `*.parquet`."""

import glob
import itertools
import os
import re

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{},]*(?:,[^{},]*)+)\}")


def expand_patterns(argument, places):
    """The existing paths that an argument names, without doubles, in their order.

    Args:
        argument: str, the argument's name, for errors.
        places: path, pattern, or list of these. Patterns have braces as a shell expands them, or
            are those of `glob`.

    Raises:
        ValueError: if a path or a pattern matches no file.
    """
    places = [places] if isinstance(places, (str, os.PathLike)) else list(places)
    found: dict[str, None] = {}
    for place in map(os.fspath, places):
        for path in [place] if os.path.exists(place) else expand_braces(place):
            matches = [path] if os.path.exists(path) else sorted(glob.glob(path))
            if not matches:
                raise ValueError(
                    f"Argument `{argument}` must name existing files. Received: {path}"
                )
            found |= dict.fromkeys(matches)
    if not found:
        raise ValueError(f"Argument `{argument}` must name existing files. Received: {places}")
    return list(found)


def expand_braces(pattern):
    """The texts that a shell makes of braces: `a{08..10}` or `{a,b}`."""
    parts, end = [], 0
    for match in _BRACES.finditer(pattern):
        parts.append([pattern[end : match.start()]])
        end = match.end()
        if match[3] is not None:
            parts.append(match[3].split(","))
        else:
            numbers = range(int(match[1]), int(match[2]) + 1)
            parts.append([str(number).zfill(len(match[1])) for number in numbers])
    return ["".join(chosen) for chosen in itertools.product(*parts, [pattern[end:]])]
