"""The page of `dvc plots show`: it loads nothing from a network and draws every plot."""

import re
import shutil
import subprocess

import pandas as pd
import pytest

from espejo.plots import dvc_page
from tests.helpers.workshop import ROOT, run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def html_path(tmp_path_factory):
    """The page that DVC writes of this folder's plots."""
    folder = tmp_path_factory.mktemp("plots")
    template = folder / "template.html"
    template.write_text(dvc_page.page(), "utf-8")
    run("dvc", "plots", "show", "--out", str(folder), "--html-template", str(template), cwd=ROOT)
    return folder / "index.html"


def test_dvc_fills_the_page_and_it_loads_nothing(html_path):
    text = html_path.read_text("utf-8")
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)\s*=\s*[\"']?(?:https?:)?//", text)
    assert "cdn.jsdelivr.net/npm/vega@" not in text
    assert text.count("vegaEmbed('#") >= 5  # one for each plot of dvc.yaml that is no picture
    assert not [name for name in ("{plot_divs}", "{refresh_tag}", "{scripts}") if name in text]


def test_the_template_holds_each_place_once():
    page = dvc_page.page()
    assert (page.count("{plot_divs}"), page.count("{refresh_tag}")) == (1, 1)
    assert page.count("</script") == 1


@pytest.fixture(scope="module")
def drawn(html_path):
    """The page as a browser without a network renders it."""
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000"),
            *("--dump-dom", html_path.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


def test_a_browser_without_a_network_draws_every_plot(html_path, drawn):
    assert drawn.count('class="marks"') == html_path.read_text("utf-8").count("vegaEmbed('#")


def test_a_step_without_a_validation_has_no_point(drawn):
    """DVC's own template draws a zero where a table has nothing."""
    points = set(re.findall(r'aria-label="(step: \d+); y: ([\d.]+);[^"]*field: validation"', drawn))
    curve = pd.read_csv(ROOT / "plots" / "loss.csv").dropna(subset="validation")
    assert {(step, round(float(value), 5)) for step, value in points} == {
        (f"step: {int(step)}", round(value, 5))
        for step, value in curve[["step", "validation"]].to_numpy()
    }
