"""What the settings of all commands have in common."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from suffice.configuration.printable import shown
from suffice.errors import InputError

WRITTEN = {"fingerprint", "contents", "versions", "stored_at", "checksum"}
"""Keys that a run writes into config.yaml and ignores when it reads them."""

NOT_DECIDING = {"store"}
"""Keys that do not decide the result."""

NO_FLAGS = WRITTEN | {"by_method"}
"""Keys that are not flags."""


class Config(BaseModel):
    """The configuration of a command."""

    # a class or a column may be called 3, and YAML takes that for a number
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)

    OTHER_NAMES: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Names that a key has besides its own, as a flag and in files."""

    COMMAND: ClassVar[str | None] = None
    """The command that it is for, where `COMMANDS` does not say so."""

    seed: int = Field(default=0, ge=0, description="random seed")
    fingerprint: str | None = Field(default=None, description="of the data; earlier versions wrote it, not read")
    contents: dict[str, str] | None = Field(
        default=None, description="hashes of the data and of the model's files; written, not read"
    )
    stored_at: str | None = Field(
        default=None, description="where in a store the arrays and pieces of the result are; written, not read"
    )
    checksum: str | None = Field(default=None, description="hash of all else in the file; written, not read")
    versions: dict[str, str] | None = Field(default=None, description="the software that ran; written, not read")

    def asked(self) -> dict[str, Any]:
        """What decides the result: the configuration without what is only written, or says where."""
        return self.model_dump(mode="json", exclude=WRITTEN | NOT_DECIDING)

    @classmethod
    def renamed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values under the names that keys have now.

        Raises:
            InputError: a key that has different values under two names.
        """
        names = {other: name for name, others in cls.OTHER_NAMES.items() for other in others}
        found: dict[str, Any] = {}
        for key, value in values.items():
            name = names.get(key, key)
            if name in found and found[name] != value:
                given = [f"{word} = {shown(values[word])}" for word in (name, *cls.OTHER_NAMES[name]) if word in values]
                raise InputError(f"{' and '.join(given)}: these are two names of one setting; give one of them")
            found[name] = value
        return found
