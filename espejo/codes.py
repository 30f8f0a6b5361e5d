"""Codes, PINs and passwords that let somebody in, by the words beside them.

Digits need a word such as "código" or "pin", and between the two only words of those that say whose
and what for ("el pin de la tarjeta es"). A password of letters needs more: a digit, a capital or a
sign within, quotation marks, or to stand alone after a colon, because "la clave es tener paciencia".
"""

from espejo.cues import END, OF, SMALL, START, after, joined

_OPENED = (  # what they let somebody into
    r"tarjetas?|card|cart[aã]o|visa|master(?:card)?|d[eé]bito|cr[eé]dito|cajero|atm|banco|bank(?:ing)?"
    r"|home ?banking|cuenta|account|conta|wi-?fi|internet|red|router|m[oó]dem|casa|home|house|depto"
    r"|edificio|puerta|door|porta|port[oó]n|reja|gate|portero|entrada|garage|cochera|alarma?|candado"
    r"|lock|locker|caja|fuerte|safe|cofre|valija|bici|auto|celu?(?:lar)?|m[oó]vil|tel[eé]fono|i?phone"
    r"|tablet|ipad|compu(?:tadora)?|pc|notebook|laptop|ordenador|tele|sim|chip|app|e?-?mails?|correo"
    r"|gmail|outlook|hotmail|whatsapp|google|instagram|insta|face(?:book)?|telegram|twitter|tiktok"
    r"|netflix|spotify|disney|hbo|max|steam|uber|zoom|airbnb|apple|microsoft|usuario|user|sesi[oó]n"
    r"|sistema|campus|intranet|vpn|vecino|ofi(?:cina)?|trabajo|facu(?:ltad)?"
)
_PURPOSE = (
    rf"{SMALL}|do|da|di|you|seu|sua|for|para|to|of|in|en|los|las|uno?|una|uso|one|use|time|otp"
    r"|s[oó]lo|[uú]nic[oa]|sms|temporal|personal|d[ií]gitos|verifica[cç]i?[oóã][no]|verification"
    r"|seguridad|seguran[cç]a|security|acc?es[so]o?|confirma[cç]i?[oóã][no]|confirmation"
    r"|activaci[oó]n|activation|autorizaci[oó]n|desbloqueo|unlock|recuperaci[oó]n|recovery|ingreso"
    rf"|inicio|login|registro|enviado|recibido|sent|por|v[ií]a|by|que|me|te|lleg[oó]|mandaron|enviaron|dieron|pasaron|sali[oó]|got|nuev[oa]|actual|viej[oa]|entrar|abrir|ingresar|salir|i|\d\d? (?:d[ií]gitos|cifras|digits)|{_OPENED}"
)
_PASSWORD = r"contrase[ñn]i?as?|pass(?:word|wd|code|phrase)?|pwd?|senha|palavra-passe"
_KEY = rf"pin|otp|token|clave|{_PASSWORD}"
_CODE = r"(?<!error )(?<!postal )(?<!zip )(?<!area )(?<!promo )(?<!bar )(?<!source )code"
_SECRET = rf"c[oó]digos?|{_CODE}|{_KEY}"
_IS = r"\s?(?:\b(?:es|era|is|é|è)\b|:|=)\s?"

COUNTED = (
    r"pesos|d[oó]lares|euros|reales|reais|usd|personas|habitantes|votos|seguidores|vistas|views"
    r"|likes|visitas|reproducciones|kil[oó]metros|kms?|metros|mts?|m2|kilos|kgs?|gr?|litros|años"
)
_MORE_COUNTED = (
    r"mil|veces|horas|hs|min(?:utos)?|segundos|puntos|letras|car[aá]cteres|d[ií]gitos|palabras"
    r"|times|hours|points|people|dollars|cuotas|pasos"
)
_YEAR = r"(?<=\bdel )(?:19|20)\d\d\b|(?<=\b(?:de|en) )(?:19|20)\d\d\b"
_DIGITS = rf"(?!{_YEAR})(?:\d{{3}}[ -]\d{{3}}|\d{{4}}[ -]\d{{4}}|\d{{4,8}}|\d(?: \d){{3,7}})"
_ENDED = rf"{END}(?! ?(?:{COUNTED}|{_MORE_COUNTED})\b)"

_TOKEN = r"(?<!\w)[^\s<>\0]{5,39}[^\s<>\0.,;:?()\[\]{}'\"«»“”‘’…*_~]"  # it does not end a sentence
_UNITS = rf"\d[\d.,:]*(?:{COUNTED}|h|hs|hrs|am|pm|er|da|ra|to|do|cm|mm|ml|gb|mb)\b"
_WITH_DIGIT = (
    rf"(?!{_UNITS}|\d{{3,}}[.,;:])(?=[^\s<>\0]{{0,39}}\d)(?=[^\s<>\0]{{0,39}}[^\W\d_]){_TOKEN}"
)
_WITH_SIGN = rf"(?=[^\s<>\0]{{0,38}}(?:(?-i:[a-zà-ÿ][A-ZÀ-Þ])|[@#$%&^+]\w)){_TOKEN}"
_SAID_OF_ONE = (
    r"(?!(?:(?:in)?correct[ao]?|inv[aá]lid[ao]?|mism[ao]|ningun[ao]|olvidad[ao]|obligatori[ao]"
    r"|required|wrong|same|reset|expired)\b)"
)
_OF_WHAT = rf"(?:\s(?:{OF}|{_OPENED})){{0,3}}"
_OPENS = rf"(?=\s(?:(?:del?|da|do|for)\s)?(?:la\s|the\s)?(?:{_OPENED})\b)"
_CODE_OF_WHAT = rf"(?:c[oó]digo|code){_OPENS}"
# "clave" alone is a key to success too.
_SURELY = rf"(?<!\w)(?:{_PASSWORD}|clave{_OPENS}){_OF_WHAT}"

PATTERNS = (  # in order; read without regard to case; what is found is the group `it` or all
    r"(?<!\w)G-\d{6}(?!\w)",
    after(f"{_PASSWORD}|clave", _PURPOSE, rf"(?<!\bde )(?<!\bdel )(?<!\bof ){_WITH_DIGIT}"),
    rf"(?<!\w)(?:{_PASSWORD}|clave|contra){_OF_WHAT}{_IS}(?P<it>{_WITH_DIGIT}|{_WITH_SIGN})",
    rf"{_SURELY}{_IS}[\"'“«](?P<it>[^\"'“”«»\n<>\0]{{4,40}})[\"'”»]",
    rf"{_SURELY}\s?[:=]\s?(?P<it>{_SAID_OF_ONE}{_TOKEN})(?=\s*(?:\n|\Z))",
    after(_SECRET, _PURPOSE, _DIGITS) + _ENDED,
    after(f"{_PASSWORD}|clave", _PURPOSE, r"\d{9,12}") + _ENDED,
    rf"(?<!\w)(?:{_KEY}|{_CODE_OF_WHAT})(?:\s(?:{OF}|{_PURPOSE})){{1,6}}{_IS}(?P<it>{_DIGITS}){_ENDED}",
    after(_KEY.replace("clave|", ""), _PURPOSE, r"\d(?:-\d){3,7}")
    + _ENDED,  # no 4-2-3-1 is a clave
    after("cvv2?|cvc2?|c[oó]digo de seguridad", _PURPOSE, r"\d{3,4}") + END,
    rf"{START}(?P<it>{_DIGITS}) (?:es|is|é|as|como|for|para) (?:(?:{_PURPOSE}) ){{0,6}}(?:{_SECRET})\b",
)
MORE = joined(_DIGITS) + _ENDED
SIGNS = rf"(?<!\w)(?:c[oó]digo|code|contra|cv[vc]|{_KEY})"  # without one of these words no pattern
