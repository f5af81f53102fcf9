"""Words that a log, a record or a terminal can hold: no codes that a terminal obeys, no passwords and no tokens.

Names, captions and reasons come from files that others wrote, and the errors of a library quote the address that it
asked, which for a mirror may have a password in it.
"""

import logging
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

LEFT_OUT = "(left out)"
LEAST = 8  # characters of a secret: shorter ones, such as `true`, are words too
TURNED = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # characters that reorder the text around them
PASSWORD = re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)")  # of an address: user:password
SECRET = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY)S?$", re.IGNORECASE)  # of a variable's name
LOGGERS = ("huggingface_hub", "transformers", "diffusers")  # of libraries that tell what they ask of the hub
KINDS = (OSError, ValueError, ImportError, RuntimeError)


def harmless(text: str) -> str:
    """The text without control characters, line breaks and tabs aside, and without what reorders it."""
    return "".join(c for c in text if c in "\n\t" or (unicodedata.category(c) != "Cc" and c not in TURNED))


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """What no file is to hold: the hub's token, what is named as secrets are, and passwords of addresses."""
    from huggingface_hub import get_token  # asked for only where something went wrong

    named = [value for name, value in environment.items() if SECRET.search(name)]
    passwords = [own.partition(":")[2] for value in environment.values() for own in PASSWORD.findall(value)]
    told = {get_token() or "", *named, *passwords}
    return sorted((secret for secret in told if len(secret) >= LEAST), key=len, reverse=True)


def without_secrets(text: str) -> str:
    """The text without the passwords of addresses, and without the secrets of this process."""
    for secret in secrets_of(os.environ):
        text = text.replace(secret, LEFT_OUT)
    return PASSWORD.sub(LEFT_OUT, text)


@contextmanager
def no_secret_told() -> Iterator[None]:
    """Within it, no error and no log of a library that asks the hub tells a secret.

    An error that would is raised anew as the built-in kind that it is, without what it came from.
    """
    handlers = [handler for name in LOGGERS for handler in logging.getLogger(name).handlers]
    for handler in handlers:
        handler.addFilter(_untold)
    try:
        yield
    except Exception as error:
        if not any(without_secrets(said) != said for said in _chain(error)):
            raise
        kind = next((kind for kind in KINDS if isinstance(error, kind)), RuntimeError)
        raise kind(without_secrets(str(error))) from None
    finally:
        for handler in handlers:
            handler.removeFilter(_untold)


def _untold(record: logging.LogRecord) -> bool:
    """Takes the secrets out of what is logged."""
    record.msg, record.args = without_secrets(record.getMessage()), ()
    return True


def _chain(error: BaseException | None) -> Iterator[str]:
    """What an error says, and those that it came from."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield str(error)
        error = error.__cause__ or error.__context__
