"""A hook of MkDocs that adds the colours of code: the site loads no file from the network."""

from mkdocs.structure.files import File
from pygments.formatters import HtmlFormatter

NAME = "code.css"


def on_config(config):
    config.extra_css.append(NAME)
    return config


def on_files(files, config):
    style = HtmlFormatter(style="default").get_style_defs(".codehilite")
    files.append(File.generated(config, NAME, content=style))
    return files
