"""Words that announce what follows: "mi dni es el ", "tel de casa: ", "the pin for my card is "."""

# Where a number that stands alone starts and ends: not within "1.234,50", but "48123987Y,5" may.
START = r"(?<![\w+-])(?!(?<=\d[.,])\d)"
END = r"(?!-?\w|(?<=\d)[.,]\d)"
SMALL = (
    "es|era|son|is|é|è|el|la|al|a|o|the|at|il|mi|my|tu|su|your|nro|num|n|nº|no|n[uú]mer[oi]|number"
    "|m[ií][oa]|nuevo|new|del?|dell[aeo]"
)
_NAME = (  # of a person rather than of a make or a town: "celu Samsung 1250000", "Tel Aviv"
    "(?!(?:aviv|samsung|galaxy|moto(?:rola)?|xiaomi|redmi|apple|huawei|nokia|honor|lg|i?phone)\\b)"
    "(?-i:[A-ZÀ-Þ][a-zà-ÿ]+)"
)
OF = (  # "de la abuela", "for my bank", "de Ana María López"
    r"(?:del?|dell[aeo]|da|do|of|for|para|en|no|di)\s(?:(?:el|las?|los|mi|tu|su|una?|the|my|your|meu"
    rf"|minha)\s)?[^\W\d_]{{2,20}}(?:\s{_NAME}){{0,2}}"
)
WHOSE = f"{SMALL}|{OF}|{_NAME}|casa|trabajo|oficina|consultorio|particular|laboral|s|me|on"
COUNTED = (
    r"pesos|d[oó]lares|euros|reales|reais|usd|personas|habitantes|votos|seguidores|vistas|views"
    r"|likes|visitas|reproducciones|kil[oó]metros|kms?|metros|mts?|m2|kilos|kgs?|gr?|litros|años"
)
# Between two that are announced together: "4555-1234, 4555-1235", "4555-1234 (casa) y el de Ana".
JOINED = (
    r"(?:\s?\([^\d()<>\0]{1,20}\))?[\s,;/|&+-]{1,4}(?:(?:[yoeu]|ou|or|and|al|el)\s+){0,2}"
    rf"(?:(?<=\b[eE]l\s){OF}\s+(?:es\s+)?)?"
)
_GAP = (
    "[\\s:.,?=#°º!(*\"'“”«»_\u2190-\u21ff\u2600-\u27bf\U0001f300-\U0001faff-]"  # arrows, emoji too
)


def after(cue: str, fillers: str, what: str) -> str:
    """A pattern of `what`, as the group `it`, a few of the words `fillers` after a cue."""
    return rf"(?<!\w)(?:{cue})(?:{_GAP}{{1,3}}(?:{fillers})\b){{0,8}}{_GAP}{{0,5}}(?P<it>{what})"


def joined(what: str) -> str:
    """A pattern of a further `what`, as the group `it`, straight after one that was announced."""
    return rf"{JOINED}(?P<it>{what})"
