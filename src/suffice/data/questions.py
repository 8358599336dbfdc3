"""Questions with worked answers, made up: prompts and completions to try a language model on."""

import random
from collections.abc import Iterator

QUESTIONS = "builtin:questions"
"""Names 2,200 questions with answers."""

COUNT, SEED = 2200, 20260101

NAMES = (
    *("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace"),
    *("Henry", "Ida", "Jack", "Kate", "Leo", "Mary", "Noah"),
)
THINGS = (
    *("apples", "books", "coins", "eggs", "flowers", "letters"),
    *("marbles", "nails", "pens", "shells", "stamps", "tickets"),
)


def questions() -> Iterator[tuple[str, str]]:
    """Questions and answers, always the same ones.

    Example:
        >>> question, answer = next(questions())
        >>> print(question)
        There are 10 flowers. Anna takes 5, and 2 are lost. How many flowers does Noah get?
        >>> print(answer)
        Anna leaves 10 - 5 = 5 flowers. 2 are lost, so Noah gets 5 - 2 = 3.
    """
    draw = random.Random(SEED)  # noqa: S311 - to be the same each time
    for _ in range(COUNT):
        one, two = draw.sample(NAMES, 2)
        things = draw.choice(THINGS)
        a, b, c = draw.randint(5, 60), draw.randint(2, 30), draw.randint(2, 9)
        kind = draw.randrange(4)
        if kind == 0:
            yield (
                f"{one} has {a} {things} and finds {b} more. {two} takes {c} of them. How many {things} are left?",
                f"{one} has {a} + {b} = {a + b} {things}. {two} takes {c}, so {a + b} - {c} = {a + b - c} are left.",
            )
        elif kind == 1:
            yield (
                f"{one} has {a} {things}, and {two} has {b} more than {one}. How many {things} do they have together?",
                f"{two} has {a} + {b} = {a + b} {things}. Together they have {a} + {a + b} = {2 * a + b}.",
            )
        elif kind == 2:
            yield (
                f"{one} buys {c} boxes of {a} {things} each. {two} gives {one} {b} {things}. How many are these?",
                f"The boxes hold {c} x {a} = {c * a} {things}. With those of {two} it is {c * a} + {b} = {c * a + b}.",
            )
        else:
            yield (
                f"There are {a + b} {things}. {one} takes {b}, and {c} are lost. How many {things} does {two} get?",
                f"{one} leaves {a + b} - {b} = {a} {things}. {c} are lost, so {two} gets {a} - {c} = {a - c}.",
            )
