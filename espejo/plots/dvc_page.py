"""The HTML template of `dvc plots show` and `dvc plots diff`, with its scripts inline.

    python -m espejo.plots.dvc_page .dvc/tmp/plots.html

DVC's own template loads Vega from a content delivery network; with this one, which .dvc/config
names, the page needs no network.
"""

import sys
from pathlib import Path

import vl_convert

from espejo.core import faults, files

_PAGE = """<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
{refresh_tag}
<title>espejo: plots</title>
<script>(() => {SCRIPTS})();</script>
<style>
body { font-family: sans-serif; }
table { border-spacing: 15px; }
img { max-width: 100%; }
</style>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def page() -> str:
    """The template, with Vega, Vega-Lite (version 5, as in DVC's plots) and Vega-Embed inline."""
    # vl_convert's stub has no default for the snippet, which the library has.
    bundle = vl_convert.javascript_bundle(vl_version="5.21")  # type: ignore[call-arg]
    return _PAGE.replace("SCRIPTS", bundle.replace("</script", "<\\/script"))


if __name__ == "__main__":
    with faults.told("espejo"):
        files.write(page(), Path(sys.argv[1]))
