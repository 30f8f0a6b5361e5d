"""The page of `dvc plots show` and `dvc plots diff`, with its scripts inside: no network needed.

    python -m espejo.plots.dvc_page .dvc/tmp/plots.html

DVC's own page loads Vega from a content delivery network; .dvc/config names this one in its place.
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
    """An HTML template for DVC, with Vega, Vega-Lite (5, as DVC's plots) and Vega-Embed inside."""
    bundle = vl_convert.javascript_bundle(vl_version="5.21")
    return _PAGE.replace("SCRIPTS", bundle.replace("</script", "<\\/script"))


if __name__ == "__main__":
    with faults.told("espejo"):
        files.write(page(), Path(sys.argv[1]))
