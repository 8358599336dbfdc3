"""How data are to be read: what a configuration says of columns, splits and samples to leave out."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from suffice.data.tasks import TaskKind
from suffice.errors import InputError

OF_TABLES = {
    "text_column": "text",
    "image_column": None,
    "label_column": "label",
    "group_column": None,
    "split_column": None,
    "threshold": None,
    "drop_missing": False,
}
"""Settings of sources with columns, and their defaults."""

OF_TEXT_FILES = {"delimiter": None, "encoding": None}
"""Settings of tables that are text."""


@dataclass(frozen=True)
class Reading:
    """What is read from a source, and as what.

    Attributes:
        text_column: column of the texts in a table: its name, or its number from 1 if the table has no header.
        image_column: column of image files, relative to the table; in place of texts.
        label_column: column of the labels.
        group_column: column of groups, such as patients: the samples of a group stay in one part.
        split_column: column that says train, validation or test.
        split: use the samples of this split only.
        threshold: makes two classes of labels that are numbers: below it, and at least it.
        classes: use these classes only, in this order.
        exclude: globs of classes and files to leave out.
        min_per_class: leave out classes with fewer samples.
        drop_missing: leave out rows without a text, image, label or group.
        delimiter: of the fields of a text table; detected by default.
        encoding: of a text table; detected by default.
        task: what the labels are: classes, numbers, or sets of labels.
        label_delimiter: stands between the labels of a set.

    Example:
        >>> Reading(label_column="stars", threshold=3).label_column
        'stars'
    """

    text_column: str = "text"
    image_column: str | None = None
    label_column: str = "label"
    group_column: str | None = None
    split_column: str | None = None
    split: str | None = None
    threshold: float | None = None
    classes: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    min_per_class: int = 1
    drop_missing: bool = False
    delimiter: str | None = None
    encoding: str | None = None
    task: TaskKind = "classification"
    label_delimiter: str = "|"

    @classmethod
    def of(cls, config: Any) -> "Reading":
        """The settings of the same names of a configuration."""
        return cls(**{field.name: getattr(config, field.name) for field in fields(cls)})

    def refuse_columns(self, source: str) -> None:
        """Refuses settings of tables for a source without columns.

        Raises:
            InputError: one of them is set.
        """
        self._refuse(source, OF_TABLES, "for tables and datasets folders")
        self.refuse_dialect(source)

    def refuse_dialect(self, source: str) -> None:
        """Refuses settings of text tables for another source.

        Raises:
            InputError: one of them is set.
        """
        self._refuse(source, OF_TEXT_FILES, "for tables that are text: .csv, .tsv, .txt")

    def _refuse(self, source: str, defaults: dict[str, Any], what_for: str) -> None:
        for name, default in defaults.items():
            if getattr(self, name) != default:
                raise InputError(f"{source}: --{name.replace('_', '-')} is {what_for}; leave it out")
