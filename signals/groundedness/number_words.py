"""Words for numbers, as data: what a source may write where an answer writes digits."""

from __future__ import annotations

UNITS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
""".split()  # noqa: SIM905 - a list of words reads as text
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORDS = {word: value for value, word in enumerate(UNITS)} | {word: 20 + 10 * n for n, word in enumerate(TENS)}
MULTIPLES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
DOZEN = 12
ORDINALS = (
    {
        word: value
        for value, word in enumerate(
            """
        first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
        fifteenth sixteenth seventeenth eighteenth nineteenth twentieth
        """.split(),  # noqa: SIM905
            1,
        )
    }
    | {f"{word[:-1]}ieth": 20 + 10 * n for n, word in enumerate(TENS)}
)
PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4} | {
    word + plural: value for word, value in ORDINALS.items() if 3 <= value <= 10 for plural in ("", "s")
}
"""Names of fractions by their denominators."""

SCALES = {
    "k": 1e3, "thousand": 1e3, "tsd": 1e3, "tausend": 1e3, "mille": 1e3, "mil": 1e3, "lakh": 1e5,
    "m": 1e6, "mn": 1e6, "mio": 1e6, "million": 1e6, "millionen": 1e6, "millones": 1e6, "millón": 1e6, "milhões": 1e6,
    "milhão": 1e6, "milioni": 1e6, "miljoen": 1e6, "crore": 1e7,
    "b": 1e9, "bn": 1e9, "billion": 1e9, "mrd": 1e9, "milliarden": 1e9, "milliard": 1e9, "miliardi": 1e9,
    "miljard": 1e9, "trillion": 1e12,
    "万": 1e4, "萬": 1e4, "만": 1e4, "億": 1e8, "亿": 1e8, "억": 1e8,
}  # fmt: skip
"""What stands behind a written number and multiplies it; those of one letter may also be a unit."""

_MONTHS = """
    january february march april may june july august september october november december
    januar februar märz april mai juni juli august september oktober november dezember
    janvier février mars avril mai juin juillet août septembre octobre novembre décembre
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
    janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
    januari februari maart april mei juni juli augustus september oktober november december
    stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia
    января февраля марта апреля мая июня июля августа сентября октября ноября декабря
    ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık
"""
_COUNTED = """
    null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn
        achtzehn neunzehn zwanzig
    zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit
        dix-neuf vingt
    cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete
        dieciocho diecinueve veinte
    zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici
        diciassette diciotto diciannove venti
    zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis dezessete dezoito
        dezenove vinte
    nul een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien
        achttien negentien twintig
    zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć dziesięć jedenaście dwanaście trzynaście czternaście
        piętnaście szesnaście siedemnaście osiemnaście dziewiętnaście dwadzieścia
    ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать четырнадцать
        пятнадцать шестнадцать семнадцать восемнадцать девятнадцать двадцать
    sıfır bir iki üç dört beş altı yedi sekiz dokuz on onbir oniki onüç ondört onbeş onaltı onyedi onsekiz ondokuz yirmi
    शून्य एक दो तीन चार पाँच छह सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस बीस
"""
_ROUND = {
    30: "dreißig dreissig trente treinta trenta trinta dertig trzydzieści тридцать otuz",
    40: "vierzig quarante cuarenta quaranta quarenta veertig czterdzieści сорок kırk",
    50: "fünfzig cinquante cincuenta cinquanta cinquenta vijftig pięćdziesiąt пятьдесят elli",
    60: "sechzig soixante sesenta sessanta sessenta zestig sześćdziesiąt шестьдесят altmış",
    70: "siebzig setenta settanta zeventig siedemdziesiąt семьдесят yetmiş",
    80: "achtzig ochenta ottanta oitenta tachtig osiemdziesiąt восемьдесят seksen",
    90: "neunzig noventa novanta negentig dziewięćdziesiąt девяносто doksan",
    100: "hundert cent cien ciento cento cem honderd sto сто yüz",
    1_000: "tausend mille mil duizend tysiąc тысяча bin",
}
_LOOSELY = {
    0: "no none nothing nil nobody kein keine nichts aucun ninguno nessuno nenhum",
    1: "once single",
    2: "twice both couple zwo deuxième beide две zweite due segunda deux две dwie",
    3: "dritte tercero troisième",
    12: "noon midday midnight mittag midi mediodía mezzogiorno meio-dia",
    30: "半",
}


_OTHERWISE = (("may", 5), ("on", 10), ("due", 2), ("once", 11), ("bin", 1_000), ("cent", 100), ("un", 1), ("um", 1))
"""Words of English and German that other languages count with; they would be given in nearly every text."""


def _meant() -> dict[str, frozenset[float]]:
    meant: dict[str, set[float]] = {}

    def add(word: str, value: float) -> None:
        for part in {word, word.replace("-", "")}:
            meant.setdefault(part, set()).add(value)

    for word, value in ORDINALS.items():
        add(word, value)
    for at, word in enumerate(_MONTHS.split()):
        add(word, at % 12 + 1)
        if at < 12:
            add(word[:3], at + 1)
    for at, word in enumerate(_COUNTED.split()):
        add(word, at % 21)
    for table in (_ROUND, _LOOSELY):
        for value, words in table.items():
            for word in words.split():
                add(word, value)
    for ten, value in (("zwanzig", 20), ("dreißig", 30), ("vierzig", 40), ("fünfzig", 50), ("sechzig", 60),
                       ("siebzig", 70), ("achtzig", 80), ("neunzig", 90)):  # fmt: skip
        for unit, word in enumerate("ein zwei drei vier fünf sechs sieben acht neun".split(), 1):  # noqa: SIM905
            add(f"{word}und{ten}", value + unit)
    for word, value in _OTHERWISE:
        meant[word].discard(value)
    meant["dozen"] = {float(DOZEN)}
    return {word: frozenset(values) for word, values in meant.items()}


MEANT = _meant()
"""What a source may say for a number, in languages of wide use, and what an answer does not mean as one."""
