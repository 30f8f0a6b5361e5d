"""Patterns for cues, the words that announce data: "mi dni es el ", "the pin for my card is "."""

# Start and end of a number on its own: not inside "1.234,50"; "48123987Y,5" may end before ",5".
START = r"(?<![\w+-])(?!(?<=\d[.,])\d)"
END = r"(?!-?\w|(?<=\d)[.,]\d)"
FILLERS = (
    "es|era|son|is|é|è|el|la|al|a|o|the|at|il|mi|my|tu|su|your|nro|num|n|nº|no|n[uú]mer[oi]|number"
    "|m[ií][oa]|nuevo|new|del?|dell[aeo]"
)
_NAME = (  # a person's, not a make or a town: "celu Samsung 1250000", "Tel Aviv"
    "(?!(?:aviv|samsung|galaxy|moto(?:rola)?|xiaomi|redmi|apple|huawei|nokia|honor|lg|i?phone)\\b)"
    "(?-i:[A-ZÀ-Þ][a-zà-ÿ]+)"
)
OF_WHOM = (  # "de la abuela", "for my bank", "de Ana María López"
    r"(?:del?|dell[aeo]|da|do|of|for|para|en|no|di)\s(?:(?:el|las?|los|mi|tu|su|una?|the|my|your|meu"
    rf"|minha)\s)?[^\W\d_]{{2,20}}(?:\s{_NAME}){{0,2}}"
)
WHOSE = f"{FILLERS}|{OF_WHOM}|{_NAME}|casa|trabajo|oficina|consultorio|particular|laboral|s|me|on"
UNITS = (
    r"pesos|d[oó]lares|euros|reales|reais|usd|personas|habitantes|votos|seguidores|vistas|views"
    r"|likes|visitas|reproducciones|kil[oó]metros|kms?|metros|mts?|m2|kilos|kgs?|gr?|litros|años"
)
# Between two numbers with one cue: "4555-1234, 4555-1235", "4555-1234 (casa) y el de Ana".
SEPARATOR = (
    r"(?:\s?\([^\d()<>\0]{1,20}\))?[\s,;/|&+-]{1,4}(?:(?:[yoeu]|ou|or|and|al|el)\s+){0,2}"
    rf"(?:(?<=\b[eE]l\s){OF_WHOM}\s+(?:es\s+)?)?"
)
_GAP = (
    "[\\s:.,?=#°º!(*\"'“”«»_\u2190-\u21ff\u2600-\u27bf\U0001f300-\U0001faff-]"  # arrows, emoji too
)


def after_cue(cue: str, fillers: str, shape: str) -> str:
    """A pattern of `shape` (group `data`) after a cue and up to eight of the words `fillers`."""
    return rf"(?<!\w)(?:{cue})(?:{_GAP}{{1,3}}(?:{fillers})\b){{0,8}}{_GAP}{{0,5}}(?P<data>{shape})"


def further(shape: str) -> str:
    """A pattern of one more `shape` (group `data`) right after one that a cue announced."""
    return rf"{SEPARATOR}(?P<data>{shape})"
