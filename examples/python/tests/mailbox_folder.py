"""The mails of a system that writes them to a folder."""

import re
import time
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

PATIENCE = 30.0
CONFIRM_ADDRESS = "Confirm your e-mail address"
SET_PASSWORD = "Set a new password"
CODE = re.compile(r"\b(?:[0-9A-Z]{5}-){4}[0-9A-Z]{5}\b")


class MailboxFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def code(self, to: str, subject: str) -> str:
        """The code of the newest such mail, after it arrives."""
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:
            # Their names are ids that grow with time.
            for path in sorted(self._folder.glob("*.eml"), reverse=True):
                mail = message_from_bytes(path.read_bytes(), policy=policy.default)
                assert isinstance(mail, EmailMessage)
                if mail["To"] is None or to not in mail["To"] or mail["Subject"] != subject:
                    continue
                body = mail.get_body(("plain",))
                found = CODE.search(body.get_content()) if body else None
                if found:
                    return found.group()
            time.sleep(0.05)
        raise AssertionError(f"no mail {subject!r} to {to} in {self._folder} within {PATIENCE} s")
