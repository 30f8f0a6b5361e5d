"""Codes, PINs and passwords that let somebody in, by the words beside them.

Digits need a word such as "código" or "pin", and between the two only words that say whose it is
and what for ("el pin de la tarjeta es"). A password of letters needs more, because "la clave es
tener paciencia": a digit, a capital or a sign within, quotation marks, or to stand alone after a
colon.
"""

from espejo.privacy.cues import COUNTED, END, OF, SMALL, START, after, joined

_OPENED = (  # what they let somebody into
    r"tarjetas?|card|cart[aã]o|visa|master(?:card)?|d[eé]bito|cr[eé]dito|cajero|atm|banco"
    r"|(?:home ?)?bank(?:ing)?|cuenta|account|conta|wi-?fi|internet|red|router|m[oó]dem|casa|home"
    r"|house|depto|edificio|puerta|door|porta|port[oó]n|reja|gate|portero|entrada|garage|cochera"
    r"|alarma?|candado|lock|locker|caja|fuerte|safe|cofre|valija|bici|auto|celu?(?:lar)?|m[oó]vil"
    r"|tel[eé]fono|i?phone|tablet|ipad|compu(?:tadora)?|pc|notebook|laptop|ordenador|tele|sim|chip"
    r"|app|e?-?mails?|correo|gmail|outlook|hotmail|whatsapp|google|instagram|insta|face(?:book)?"
    r"|telegram|twitter|tiktok|netflix|spotify|disney|hbo|max|steam|uber|zoom|airbnb|apple|drive"
    r"|microsoft|icloud|meet|discord|paypal|binance|amazon|prime|youtube|play|ps[45]|xbox|switch"
    r"|usuario|user|sesi[oó]n|ascensor|elevador|gym|gimnasio|club|galp[oó]n|dep[oó]sito|taller"
    r"|terraza|barrera|cerradura|mochila|moto|camioneta|armario|taquilla|portal|parking|sistema"
    r"|campus|intranet|vpn|vecino|ofi(?:cina)?|trabajo|facu(?:ltad)?"
)
_PURPOSE = (
    rf"{SMALL}|do|da|di|i|you|seu|sua|for|para|to|of|in|en|los|las|uno?|una|uso|one|use|time|otp"
    r"|s[oó]lo|[uú]nic[oa]|sms|temporal|personal|verifica[cç]i?[oóã][no]|verification|seguridad"
    r"|seguran[cç]a|security|acc?es[so]o?|confirma[cç]i?[oóã][no]|confirmation|activaci[oó]n"
    r"|activation|autorizaci[oó]n|desbloqueo|unlock|recuperaci[oó]n|recovery|ingreso|inicio|login"
    r"|registro|enviado|recibido|sent|por|v[ií]a|by|que|me|te|lleg[oó]|mandaron|enviaron|dieron"
    r"|pasaron|sali[oó]|got|nuev[oa]|actual|viej[oa]|entrar|abrir|ingresar|salir"
    rf"|\d\d? (?:d[ií]gitos|cifras|digits)|{_OPENED}"
)
_PASSWORD = r"contrase[ñn]i?as?|pass(?:word|wd|code|phrase)?|pwd?|senha|palavra-passe"
_KEY = rf"pin|otp|token|clave|{_PASSWORD}"
_CODE = r"(?<!error )(?<!postal )(?<!zip )(?<!area )(?<!promo )(?<!bar )(?<!source )code"
_SECRET = rf"c[oó]digos?|{_CODE}|{_KEY}"
_IS = r"\s?(?:\b(?:es|era|is|é|è)\b|:|=)\s?"
_OF_WHAT = rf"(?:\s(?:{OF}|{_OPENED})){{0,3}}"
_OPENS = rf"(?=\s(?:(?:del?|da|do|for)\s)?(?:la\s|the\s)?(?:{_OPENED})\b)"
# Without what it opens "clave" is also a key to success, and "código" a law.
_SURELY = rf"(?<!\w)(?:{_PASSWORD}|clave{_OPENS}){_OF_WHAT}"
_LABEL = (  # any words before a colon: "clave wifi vecinos: futbol10"
    rf"(?<!\w)(?:{_PASSWORD}|(?:clave|pin|c[oó]digo){_OPENS})(?:\s[^\W\d_]{{1,20}}){{0,4}}\s?[:=]\s?"
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

SIGNS = rf"(?<!\w)(?:c[oó]digo|code|contra|cv[vc]|{_KEY})"  # without one of these words no pattern
# In order, and read without regard to case. What is found is the group `it`.
PATTERNS = (
    after(f"{_PASSWORD}|clave", _PURPOSE, rf"(?<!\bde )(?<!\bdel )(?<!\bof ){_WITH_DIGIT}"),
    rf"(?<!\w)(?:{_PASSWORD}|clave|contra){_OF_WHAT}{_IS}(?P<it>{_WITH_DIGIT}|{_WITH_SIGN})",
    rf"{_LABEL}(?P<it>{_WITH_DIGIT})",
    rf"{_SURELY}{_IS}[\"'“«](?P<it>[^\"'“”«»\n<>\0]{{4,40}})[\"'”»]",
    rf"{_SURELY}\s?[:=]\s?(?P<it>{_SAID_OF_ONE}{_TOKEN})(?=\s*(?:\n|\Z))",
    after(_SECRET, _PURPOSE, _DIGITS) + _ENDED,
    rf"{_LABEL}(?P<it>{_DIGITS}){_ENDED}",
    rf"{_SURELY}\s(?P<it>{_DIGITS}){_ENDED}",
    after(f"{_PASSWORD}|clave", _PURPOSE, r"\d{9,12}") + _ENDED,
    # Whatever it is of: "la clave del cajero automático es 4821".
    rf"(?<!\w)(?:{_KEY}|(?:c[oó]digo|code){_OPENS})(?:\s[^\W\d_]{{1,20}}){{1,8}}{_IS}"
    rf"(?P<it>{_DIGITS}){_ENDED}",
    after(f"pin|otp|token|{_PASSWORD}", _PURPOSE, r"\d(?:-\d){3,7}") + _ENDED,
    after("cvv2?|cvc2?|c[oó]digo de seguridad", _PURPOSE, r"\d{3,4}") + END,
    rf"{START}(?P<it>{_DIGITS}) (?:es|is|é|as|como|for|para) (?:(?:{_PURPOSE}) ){{0,6}}"
    rf"(?:{_SECRET})\b",
)
MORE = joined(_DIGITS) + _ENDED
