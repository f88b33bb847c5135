"""Finds personal data by its form: e-mail addresses, phone numbers, bank accounts (IBAN) and card
numbers with a right checksum, public IP addresses, and US social security numbers.

Left alone are numbers that nobody can have, such as 123-456-7890, addresses of local networks, and
the toll-free numbers of firms. Whether somebody has what is found is not known: an address at
example.com is one, too. Names, streets and dates are not looked for.
"""

from __future__ import annotations

import ipaddress
import re

from tacos.methods.cleaning.sensitive_texts import (
    SensitivePattern,
    SensitivePlace,
    find_places,
)

HINT = re.compile(r"@|\d{3}|\d[.:]\d|\d:[\da-f]", re.IGNORECASE)
"""A text without a match holds none of what is looked for."""

IBAN_LENGTHS = {
    int(length): countries.split()
    for length, countries in (
        line.split(": ")
        for line in (
            "15: NO",
            "16: BE",
            "18: DK FI FO GL NL SD",
            "19: MK SI",
            "20: AT BA EE KZ LT LU XK",
            "21: CH HR LI LV",
            "22: BG BH CR DE GB GE IE ME RS VA",
            "23: AE GI IL IQ OM SO TL",
            "24: AD CZ ES MD PK RO SA SE SK TN VG",
            "25: PT",
            "26: IS TR",
            "27: BI DJ FR GR IT MC MR SM",
            "28: AL AZ BY CY DO EG GT HU LB NI PL",
            "29: BR PS QA UA",
            "30: JO KW MU",
            "31: MT SC",
            "32: LC",
            "33: ST RU",
        )
    )
}
"""Characters of an IBAN -> the countries that have as many (SWIFT's registry)."""
COUNTRY_CODES = re.compile(
    r"1|7|2[07]|3[0123469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|2[1-69]\d|3[578]\d|42\d|50\d|59\d|6[7-9]\d|8[05-8]\d|9[679]\d"
)
"""The countries' codes that a number in the international form begins with (ITU-T E.164)."""
TOLL_FREE = frozenset({"800", "833", "844", "855", "866", "877", "888", "900"})
"""North American prefixes that no person has."""
LEAST_PART = 32
"""Four numbers that are all smaller, and not all equal, are no IP address."""

_SPACE = r"[ \u00a0]"
_GAP = r"[ \u00a0./-]"
_NO_DIGIT_BEFORE = r"(?<![\w.+/=-])"
_NO_DIGIT_AFTER = r"(?![\w/]|[.,:-]\d)"


def find_personal_data(text: str) -> list[SensitivePlace]:
    """The personal data of a text.

    >>> text = "Mail jane@corp.org or call +44 20 7946 0958."
    >>> [place.kind for place in find_personal_data(text)]
    ['e-mail address', 'phone number']
    """
    if not HINT.search(text):
        return []
    return find_places(text, PATTERNS)


def has_luhn_checksum(number: str) -> bool:
    """Whether the last digit of a card's number is right (ISO/IEC 7812-1).

    >>> has_luhn_checksum("4539 1488 0343 6467"), has_luhn_checksum("4539 1488 0343 6468")
    (True, False)
    """
    digits = [int(digit) for digit in reversed(_keep_digits(number))]
    total = sum(digits[::2])
    for digit in digits[1::2]:
        total += sum(divmod(2 * digit, 10))
    return total % 10 == 0


def has_iban_checksum(number: str) -> bool:
    """Whether the length of an IBAN is its country's and its checksum right (ISO 13616).

    >>> has_iban_checksum("DE89 3704 0044 0532 0130 00")
    True
    >>> has_iban_checksum("DE89 3704 0044 0532 0130 01")
    False
    """
    compact = re.sub(r"\s", "", number).upper()
    if compact[:2] not in IBAN_LENGTHS.get(len(compact), ()):
        return False
    moved = compact[4:] + compact[:4]
    # A is 10 and Z is 35, which are the digits of base 36.
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _keep_digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _is_placeholder(digits: str) -> bool:
    """Whether digits only stand for a number: 1234567890, 0000000."""
    runs = "0123456789" * 3, "9876543210" * 3
    return len(set(digits)) <= 1 or any(digits in run for run in runs)


def _is_card(number: str) -> bool:
    digits = _keep_digits(number)
    return len(set(digits)) > 1 and has_luhn_checksum(digits)


def _is_public_address(address: str) -> bool:
    """Whether an IP address is one that the internet knows."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if parsed.version == 4:
        parts = set(parsed.packed)
        # 1.7.7.3 is a version, and 15.12.2.7 a section.
        is_version = max(parts) < LEAST_PART and len(parts) > 1
        return parsed.is_global and not is_version
    return parsed.is_global


def _is_american_phone(number: str) -> bool:
    digits = _keep_digits(number)[-10:]
    return digits[:3] not in TOLL_FREE and not _is_placeholder(digits)


def _is_international_phone(number: str) -> bool:
    digits = _keep_digits(number)
    code = COUNTRY_CODES.match(digits)
    if code is None or not 8 <= len(digits) <= 15:
        return False
    national = digits[code.end() :]
    if code[0] == "1":
        is_number = re.fullmatch(r"[2-9]\d{9}", national)
        return bool(is_number) and _is_american_phone(digits)
    return not _is_placeholder(national)


def _is_named_phone(number: str) -> bool:
    digits = _keep_digits(number)
    if not 7 <= len(digits) <= 15 or _is_placeholder(digits):
        return False
    return digits.removeprefix("1")[:3] not in TOLL_FREE


def _compile(pattern: str) -> re.Pattern[str]:
    """A pattern whose letters and digits are of ASCII: in Chinese no space is before a number."""
    return re.compile(pattern, re.ASCII)


PATTERNS = (
    SensitivePattern(
        "e-mail address",
        _compile(
            r"(?<![\w.+%@-])[A-Za-z0-9_][\w.+%-]*(?<!\.)@(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,24}"
            r"(?![\w@]|-\w)"
        ),
    ),
    SensitivePattern(
        "IBAN",
        _compile(
            rf"(?<![A-Za-z0-9])[A-Z]{{2}}\d\d(?:{_SPACE}?[A-Z0-9]{{4}}){{2,7}}"
            rf"(?:{_SPACE}?[A-Z0-9]{{1,3}})?(?![A-Za-z0-9])"
        ),
        has_iban_checksum,
    ),
    SensitivePattern(
        "card number",
        _compile(
            r"(?<![\w.-])(?:(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6011|65\d\d|35\d\d|62\d\d)"
            r"(?:[ -]?\d{4}){3}|3[47]\d\d[ -]?\d{6}[ -]?\d{5}"
            r"|3[068]\d\d[ -]?\d{6}[ -]?\d{4})(?![\w-]|[.,]\d)"
        ),
        _is_card,
    ),
    SensitivePattern(
        "social security number",
        _compile(
            r"(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-]|\.\d)"
        ),
    ),
    SensitivePattern(
        "IP address",
        _compile(r"(?<![\w.-])(?<!ersion )\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)"),
        _is_public_address,
    ),
    SensitivePattern(
        "IP address",
        # Those of the internet begin with 2 or 3.
        _compile(
            r"(?<![\w:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{4,34}(?:[0-9A-Fa-f]|::)(?![\w:]|\.\d)"
        ),
        _is_public_address,
    ),
    SensitivePattern(
        "phone number",
        _compile(
            rf"{_NO_DIGIT_BEFORE}(?:\+?1{_GAP}?)?"
            rf"(?:\([2-9]\d\d\){_GAP}?|[2-9]\d\d[.-])\d{{3}}[.-]\d{{4}}{_NO_DIGIT_AFTER}"
        ),
        _is_american_phone,
    ),
    SensitivePattern(
        "phone number",
        _compile(
            rf"(?<![\w+.)=-])\+\d{{1,3}}(?:{_GAP}?(?:\(\d{{1,5}}\)|\d{{1,5}})){{2,5}}{_NO_DIGIT_AFTER}"
        ),
        _is_international_phone,
    ),
    SensitivePattern(
        "phone number",
        _compile(
            r"(?i:\b(?:tele)?phone(?: number| no\.?)?|\btel|\bmobile(?: number)?|\bcell"
            r"|\bfax|\bwhatsapp|电话号?码?|手机号?码?)(?:\s+is|\s*是)?\.?\s{0,2}[:：]?\s{0,2}"
            rf"((?:\(\d{{2,5}}\)|\d{{2,5}})(?:{_GAP}?\d{{2,8}}){{1,4}}){_NO_DIGIT_AFTER}"
        ),
        _is_named_phone,
    ),
)
"""What personal data looks like, the surest forms first."""
