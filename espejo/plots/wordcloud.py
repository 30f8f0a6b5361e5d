"""The word cloud of reports/: it shows words from the chats, so it is never in git."""

from pathlib import Path

import pandas as pd
from PIL import Image
from wordcloud import WordCloud

from espejo.core import files

_SIZE = (1200, 700)  # pixels


def wordcloud(words: pd.DataFrame, path: Path) -> None:
    """Table WORDS as PNG, the same bytes for the same counts; blank where there is no word."""
    image = Image.new("RGB", _SIZE, "white")
    if len(words):
        cloud = WordCloud(
            width=_SIZE[0],
            height=_SIZE[1],
            background_color="white",
            max_words=120,
            max_font_size=130,
            random_state=7,
        )
        counts = dict(zip(words["word"], words["count"], strict=True))
        image = cloud.generate_from_frequencies(counts).to_image()
    with files.written(path) as draft:
        image.save(draft)
