"""Patterns of codes, PINs and passwords, which are recognized by the words beside them.

Digits need a cue such as "código" or "pin"; between the two only words may stand that say whose or
what it is ("el pin de la tarjeta es"). A password of letters needs more, because of sentences such
as "la clave es tener paciencia": a digit, a capital or a sign inside, quotation marks, or to stand
alone after a colon.
"""

from espejo.privacy.cues import END, FILLERS, OF_WHOM, START, UNITS, after_cue, further

_LOCKED = (  # what codes and passwords open
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
    rf"{FILLERS}|do|da|di|i|you|seu|sua|for|para|to|of|in|en|los|las|uno?|una|uso|one|use|time|otp"
    r"|s[oó]lo|[uú]nic[oa]|sms|temporal|personal|verifica[cç]i?[oóã][no]|verification|seguridad"
    r"|seguran[cç]a|security|acc?es[so]o?|confirma[cç]i?[oóã][no]|confirmation|activaci[oó]n"
    r"|activation|autorizaci[oó]n|desbloqueo|unlock|recuperaci[oó]n|recovery|ingreso|inicio|login"
    r"|registro|enviado|recibido|sent|por|v[ií]a|by|que|me|te|lleg[oó]|mandaron|enviaron|dieron"
    r"|pasaron|sali[oó]|got|nuev[oa]|actual|viej[oa]|entrar|abrir|ingresar|salir"
    rf"|\d\d? (?:d[ií]gitos|cifras|digits)|{_LOCKED}"
)
_PASSWORD = r"contrase[ñn]i?as?|pass(?:word|wd|code|phrase)?|pwd?|senha|palavra-passe"
_KEY = rf"pin|otp|token|clave|{_PASSWORD}"
_CODE = r"(?<!error )(?<!postal )(?<!zip )(?<!area )(?<!promo )(?<!bar )(?<!source )code"
_SECRET = rf"c[oó]digos?|{_CODE}|{_KEY}"
_IS = r"\s?(?:\b(?:es|era|is|é|è)\b|:|=)\s?"
_OF_WHAT = rf"(?:\s(?:{OF_WHOM}|{_LOCKED})){{0,3}}"
_OF_A_LOCK = rf"(?=\s(?:(?:del?|da|do|for)\s)?(?:la\s|the\s)?(?:{_LOCKED})\b)"
# "clave" is also a key to success, and "código" a law, unless followed by what it opens.
_SURE_CUE = rf"(?<!\w)(?:{_PASSWORD}|clave{_OF_A_LOCK}){_OF_WHAT}"
_LABEL = (  # any words before a colon: "clave wifi vecinos: futbol10"
    rf"(?<!\w)(?:{_PASSWORD}|(?:clave|pin|c[oó]digo){_OF_A_LOCK})(?:\s[^\W\d_]{{1,20}}){{0,4}}\s?[:=]\s?"
)

_MORE_UNITS = (
    r"mil|veces|horas|hs|min(?:utos)?|segundos|puntos|letras|car[aá]cteres|d[ií]gitos|palabras"
    r"|times|hours|points|people|dollars|cuotas|pasos"
)
_YEAR = r"(?<=\bdel )(?:19|20)\d\d\b|(?<=\b(?:de|en) )(?:19|20)\d\d\b"
_DIGITS = rf"(?!{_YEAR})(?:\d{{3}}[ -]\d{{3}}|\d{{4}}[ -]\d{{4}}|\d{{4,8}}|\d(?: \d){{3,7}})"
_ENDED = rf"{END}(?! ?(?:{UNITS}|{_MORE_UNITS})\b)"

# Without the punctuation that ends a sentence.
_TOKEN = r"(?<!\w)[^\s<>\0]{5,39}[^\s<>\0.,;:?()\[\]{}'\"«»“”‘’…*_~]"
_QUANTITY = rf"\d[\d.,:]*(?:{UNITS}|h|hs|hrs|am|pm|er|da|ra|to|do|cm|mm|ml|gb|mb)\b"
_WITH_DIGIT = (
    rf"(?!{_QUANTITY}|\d{{3,}}[.,;:])(?=[^\s<>\0]{{0,39}}\d)(?=[^\s<>\0]{{0,39}}[^\W\d_]){_TOKEN}"
)
_WITH_SIGN = rf"(?=[^\s<>\0]{{0,38}}(?:(?-i:[a-zà-ÿ][A-ZÀ-Þ])|[@#$%&^+]\w)){_TOKEN}"
_NOT_AN_ADJECTIVE = (  # "contraseña: incorrecta" is about a password
    r"(?!(?:(?:in)?correct[ao]?|inv[aá]lid[ao]?|mism[ao]|ningun[ao]|olvidad[ao]|obligatori[ao]"
    r"|required|wrong|same|reset|expired)\b)"
)

CUES = rf"(?<!\w)(?:c[oó]digo|code|contra|cv[vc]|{_KEY})"  # each pattern needs one of these cues
# In order of precedence, matched without regard to case; the code or password is group `data`.
PATTERNS = (
    after_cue(f"{_PASSWORD}|clave", _PURPOSE, rf"(?<!\bde )(?<!\bdel )(?<!\bof ){_WITH_DIGIT}"),
    rf"(?<!\w)(?:{_PASSWORD}|clave|contra){_OF_WHAT}{_IS}(?P<data>{_WITH_DIGIT}|{_WITH_SIGN})",
    rf"{_LABEL}(?P<data>{_WITH_DIGIT})",
    rf"{_SURE_CUE}{_IS}[\"'“«](?P<data>[^\"'“”«»\n<>\0]{{4,40}})[\"'”»]",
    rf"{_SURE_CUE}\s?[:=]\s?(?P<data>{_NOT_AN_ADJECTIVE}{_TOKEN})(?=\s*(?:\n|\Z))",
    after_cue(_SECRET, _PURPOSE, _DIGITS) + _ENDED,
    rf"{_LABEL}(?P<data>{_DIGITS}){_ENDED}",
    rf"{_SURE_CUE}\s(?P<data>{_DIGITS}){_ENDED}",
    after_cue(f"{_PASSWORD}|clave", _PURPOSE, r"\d{9,12}") + _ENDED,
    # Of anything: "la clave del cajero automático es 4821".
    rf"(?<!\w)(?:{_KEY}|(?:c[oó]digo|code){_OF_A_LOCK})(?:\s[^\W\d_]{{1,20}}){{1,8}}{_IS}"
    rf"(?P<data>{_DIGITS}){_ENDED}",
    after_cue(f"pin|otp|token|{_PASSWORD}", _PURPOSE, r"\d(?:-\d){3,7}") + _ENDED,
    after_cue("cvv2?|cvc2?|c[oó]digo de seguridad", _PURPOSE, r"\d{3,4}") + END,
    rf"{START}(?P<data>{_DIGITS}) (?:es|is|é|as|como|for|para) (?:(?:{_PURPOSE}) ){{0,6}}"
    rf"(?:{_SECRET})\b",
)
FURTHER = further(_DIGITS) + _ENDED
