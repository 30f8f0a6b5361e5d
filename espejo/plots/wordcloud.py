"""The word cloud of reports/: it shows words from the chats, so git ignores it."""

from pathlib import Path

import pandas as pd
from PIL import Image
from wordcloud import WordCloud

from espejo.core import files

_SIZE_PIXELS = (1200, 700)


def wordcloud(words: pd.DataFrame, path: Path) -> None:
    """Write table WORDS as PNG: the same bytes for the same counts, blank without words."""
    image = Image.new("RGB", _SIZE_PIXELS, "white")
    if len(words):
        cloud = WordCloud(
            width=_SIZE_PIXELS[0],
            height=_SIZE_PIXELS[1],
            background_color="white",
            max_words=120,
            max_font_size=130,
            random_state=7,
        )
        counts = dict(zip(words["word"], words["count"], strict=True))
        image = cloud.generate_from_frequencies(counts).to_image()
    with files.written(path) as draft:
        image.save(draft)
