"""Lets Griffe read docstrings in Keras' style, such as `size: int >= 1, the number of anchors.`"""

import re

import griffe

LONGEST_TYPE = 60
# The beginning of a type. A description that begins otherwise, such as "where to write", has none.
TYPE = re.compile(
    r"(?:an? |the )?((?:built |functional |increasing |scalar )*(?:`|(?:None|bool|bytes|floats?"
    r"|function|int(?:s|64|egers)?|iterable|list|model|path|sequence|str|tuple)\b"
    r"|(?:dict|pair)\b(?! (?:of|with) `\")).*)",
    re.IGNORECASE,
)
# Code and brackets, within which no type ends, and the punctuation that ends a type.
PART = re.compile(r"`[^`]*`|[([{]|[)\]}]|[,;]|[.:](?=\s|$)")
# The next of several names: the first, before the comma, is not the whole type.
NEXT_NAME = re.compile(r"`[^`]+`(?:,| and\b| or\b| `| \()")


def split_type(text):
    """Returns the type that a description begins with, or None, and the rest of the description."""
    depth, found, left = 0, None, text
    for part in PART.finditer(text):
        depth += (part[0] in "([{") - (part[0] in ")]}")
        if depth or part[0] not in ",;.:":
            continue
        begins = TYPE.fullmatch(text[: part.start()].replace("\n", " "))
        rest = text[part.end() :].lstrip()
        if not begins or (part[0] == "," and "`" in begins[1] and NEXT_NAME.match(rest)):
            break
        name = re.sub("`s?", "", begins[1])  # "`Augmenter`s": one for each of several parameters
        if len(name) > LONGEST_TYPE:
            break
        found, left = name, rest
        if part[0] != "," or not rest.startswith("or "):  # "float, or a schedule" is one type
            break
    one_string = found and re.fullmatch(
        '"[^"]*"', found
    )  # the first of several values, which the text lists
    return (None, text) if one_string else (found, left)


def describe(item, parent):
    """Yields an item of a section once for each of its names, with its type."""
    names, annotation = re.split(r", ?| and ", item.name), item.annotation
    if isinstance(item, griffe.DocstringReturn):
        names, annotation = [""], annotation or item.name  # "Scalar: mean over the batch"
    for name in names:
        values = {}
        if isinstance(item, griffe.DocstringParameter):
            parameters = getattr(parent, "parameters", ())
            # The default of an argument in **kwargs of the base class is not visible here.
            values["value"] = parameters[name].default if name in parameters else "..."
        elif isinstance(
            item, griffe.DocstringAttribute
        ):  # Griffe gives some of them the annotation of their neighbour
            annotation = getattr(parent.members.get(name), "annotation", None)
        found, description = None, item.description
        if (not annotation or str(annotation) == "Any") and not name.startswith("*"):
            found, description = split_type(description)
        yield type(item)(name, annotation=found or annotation, description=description, **values)


class KerasDocstrings(griffe.Extension):
    """Types from descriptions, examples as code, and names from a module's `__getattr__`."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring is None:
            return
        text = re.sub(r"(?m)^>>> .*(?:\n.+)*", r"```python\n\g<0>\n```", obj.docstring.value)
        # Without spaces, or the second of two attributes would be the type of the first.
        text = re.sub(r"(?m)^ +\w+(, \w+)+(?=:)", lambda m: m[0].replace(", ", ","), text)
        obj.docstring.value = text
        for section in obj.docstring.parsed:
            if section.kind.value in ("parameters", "attributes", "returns"):
                section.value = [i for item in section.value for i in describe(item, obj)]

    def on_package(self, *, pkg, **kwargs):
        for module in pkg.modules.values():
            for home in list(module.modules.values()):
                for name in set(module.exports or ()) & set(home.members) - set(module.members):
                    module[name] = griffe.Alias(name, home[name])
