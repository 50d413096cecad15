"""Random texts of each type: literals, near misses, and the bounds of both."""

import random

_DIGITS = "0123456789"


def digits(chance, most):
    return "".join(chance.choices(_DIGITS, k=chance.randint(0, most)))


def integer(chance):
    form = chance.random()
    if form < 0.6:
        return str(chance.randint(-(10 ** chance.randint(0, 19)), 10 ** chance.randint(0, 19)))
    if form < 0.7:
        return str(chance.choice([2**63, -(2**63), 2**64, 2**53, 10**18, 10**19]) + chance.randint(-3, 3))
    return (
        chance.choice(["", "-", "+", "0", "-0", "00", " "])
        + digits(chance, 22)
        + chance.choice(["", "", " ", "."])
    )


def number(chance):  # noqa: PLR0911 # a form each
    form = chance.random()
    if form < 0.2:
        return repr(chance.uniform(-1000, 1000))
    if form < 0.3:
        return repr(chance.random() * 10.0 ** chance.randint(-320, 308))
    if form < 0.4:
        return f"{chance.uniform(0, 100):.{chance.randint(0, 25)}f}"
    if form < 0.5:
        return integer(chance)
    if form < 0.55:
        return _midpoint(chance)
    if form < 0.58:
        word = chance.choice(
            ["nan", "inf", "infinity", "-inf", "-nan", "nan0", "infinit", "na", "NaN", "INF"]
        )
        return chance.choice([word, word.upper(), word.title()])
    sign = chance.choice(["", "", "", "-", "+"])
    whole = chance.choice(["", "0", digits(chance, 3), digits(chance, 21), "00"])
    part = chance.choice(
        ["", ".", "." + digits(chance, 8), "." + digits(chance, 25), ".0", ".000" + digits(chance, 20)]
    )
    power = chance.choice(["", "", "", "e", "E"])
    if power:
        power += chance.choice(["", "+", "-"]) + chance.choice(
            [digits(chance, 2), str(chance.randint(0, 330)), "00005"]
        )
    return sign + whole + part + power


def _midpoint(chance):
    """Half way between two doubles, or a little beside it."""
    exact = (2 * chance.getrandbits(52) + (1 << 53) + 1) << chance.randint(0, 9)
    return str(exact + chance.choice([-1, 0, 0, 1])) + chance.choice(["", ".", ".0", "e0", "e1"])


def moment(chance):
    year = f"{chance.choice([1, 1600, 1900, 1970, 2000, 2023, 2024, 9999, 0, chance.randint(0, 9999)]):04}"
    text = f"{year}-{chance.randint(0, 13):02}-{chance.randint(0, 32):02}"
    if chance.random() < 0.4:
        text = f"{year}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    if chance.random() < 0.75:
        text += (
            chance.choice("TT  t_")
            + f"{chance.choice([0, 12, 23, 24, 5]):02}:{chance.choice([0, 30, 59, 60]):02}"
        )
        if chance.random() < 0.8:
            text += f":{chance.choice([0, 1, 59, 60]):02}"
            if chance.random() < 0.5:
                text += "." + chance.choice([digits(chance, 7), "000000", "5", "50"])
        if chance.random() < 0.6:
            hour, minute = chance.choice([0, 1, 14, 23, 24, 99]), chance.choice([0, 30, 59, 60])
            text += chance.choice(
                [
                    "Z",
                    f"+{hour:02}",
                    f"-{hour:02}{minute:02}",
                    f"+{hour:02}:{minute:02}",
                    "z",
                    "+00:00",
                    "+1",
                    " Z",
                ]
            )
    return _damaged(chance, text) if chance.random() < 0.15 else text


def truth(chance):
    word = chance.choice(
        ["true", "false", "True", "FALSE", "tRuE", "fALsE", "t", "f", "1", "0", "yes", "truE", "TRUE"]
    )
    return _damaged(chance, word) if chance.random() < 0.2 else word


def _damaged(chance, text):
    at = chance.randint(0, len(text))
    return (
        text[:at]
        + chance.choice(["", "0", " ", "-", ":", "é", "\0", "/", "T"])
        + text[at + chance.randint(0, 2) :]
    )


TEXTS = {
    "int64": integer, "float64": number, "decimal(18,2)": number, "decimal(38,10)": number,
    "decimal(5,5)": number, "decimal(9,0)": number,
    "bool": truth, "date": moment, "timestamp": moment, "timestamptz": moment,
}  # fmt: skip


def texts(kind, count, seed=1):
    chance = random.Random(f"{kind} {seed}")
    make, found = TEXTS[kind], []
    for _ in range(count):
        text = make(chance)
        form = chance.random()
        if form < 0.02:
            text = chance.choice(["", " ", "NA", "null", "-1", "é", "\u00a0" + text, text + " ", "+" + text])
        elif form < 0.04:
            text = _damaged(chance, text)
        found.append(text.replace("\n", "").replace("\r", "").replace("\t", "").replace('"', ""))
    return found
