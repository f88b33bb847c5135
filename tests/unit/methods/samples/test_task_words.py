"""Which questions ask the same, by their words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.methods.samples.task_words import hash_task

OTHER_TASKS = """
Convert 5 miles to kilometers. | Convert 5 kilometers to miles.
Translate from French to English | Translate from English to French
Is it safe to take ibuprofen with alcohol? | Is it not safe to take ibuprofen with alcohol?
Is it safe? | Isn't it safe?
Give arguments for nuclear energy. | Give arguments against nuclear energy.
Sort the list in ascending order: 3, 1, 2 | Sort the list in descending order: 3, 1, 2
What is 23 * 17? | What is 23 + 17?
What is 23 * 17? | What is 23 * 18?
What is half of 1000? | What is half of 100?
Give 7 as a fraction. | Give 8 as a fraction.
Give 5 miles in kilometers. | Give 6 miles in kilometers.
Give 7 in terms of ten. | Give 8 in terms of ten.
What does vitamin A do? | What does a vitamin do?
What is 5!? | What is 5?
What is 3 - 5? | What is 3 + 5?
Compute -5 squared | Compute 5 squared
Find 15 percent of 80. | Find 20 percent of 80.
Write 15 percent as a fraction. | Write 25 percent as a fraction.
Write 3 hours in minutes. | Write 5 hours in minutes.
Write a SQL query to select all users older than 30. | Write a SQL query to delete all users older than 30.
Classify the sentiment: I love this phone | Classify the sentiment: I hate this phone
Calculate the integral of x. | Explain the integral of x.
Translate "He is my friend" | Translate "She is my friend"
Translate: I am here | Translate: you are here
Write a function in C to sort numbers. | Write a function in C++ to sort numbers.
Write a function in C# to sort numbers. | Write a function in C to sort numbers.
Write a letter to my boss. | Write a letter from my boss.
Coffee with milk recipe | Coffee without milk recipe
Who invented the telephone? | When was the telephone invented?
Write a poem about love. | Explain a poem about love.
List endangered species in the US. | List endangered species.
Name the capital of France. | Name the capital of Spain.
Which birds can fly? | Which birds can't fly?
Which birds can fly? | Which birds cannot fly?
Numbers above 5 | Numbers below 5
What is x <= 3? | What is x >= 3?
Is a == b? | Is a != b?
Find x if 2x + 3 = 7 | Find x if 2x - 3 = 7
Summarize the text | Translate the text
What should I do before surgery? | What should I do after surgery?
Describe the causes of inflation. | Describe the effects of inflation.
Should I buy or rent? | Should I buy and rent?
Do all birds fly? | Do some birds fly?
Write a story with a happy ending. | Write a story with an unhappy ending.
List the advantages of remote work. | List the disadvantages of remote work.
What happened in 1914? | What happened in 1939?
Translate the word to German. | Translate the word to French.
Rewrite in the past tense: She walks | Rewrite in the past tense: She walked
What is your name? | What is my name?
Solve √16 | Solve 16
什么是光合作用？ | 什么是呼吸作用？
Write a function that returns a. | Write a function that returns b.
Multiply A by B | Multiply B by A
Is the sun bigger than the moon? | Is the moon bigger than the sun?
Create an HTML form | Create an XML form
Explain how to turn Wi-Fi on. | Explain how to turn Wi-Fi off.
What does x[1:] return if x = [1, 2]? | What does x[:1] return if x = [1, 2]?
Explain the code: if (!done) { stop(); } | Explain the code: if (done) { stop(); }
Explain if (!done) in C. | Explain if (done) in C.
Which punctuation mark is this? ; | Which punctuation mark is this? :
Which operator is this: ? | Which operator is this: ;
What is the name of the symbol ~? | What is the name of the symbol ^?
Write a regex for a.b | Write a regex for ab
Write a regex for a?b | Write a regex for ab?
Simplify a-b | Simplify a b
Add a comma: Lets eat grandma | Add a comma: Lets eat, grandma
Reduce the price of 80 by 20. | Reduce the price of 80 to 20.
Write a letter to the president about taxes. | Write a letter by the president about taxes.
Write a poem by Robert Frost. | Write a poem about Robert Frost.
Write a story where I win and you lose. | Write a story where you win and I lose.
Give the plural of this. | Give the plural of that.
Who is the president? | Who was the president?
Can I take ibuprofen with alcohol? | Should I take ibuprofen with alcohol?
What are the uses of vitamin D? | What are the uses of vitamins?
Which element has the symbol I? | Which element has the symbol As?
Which element has the symbol In? | Which element has the symbol At?
Explain potential energy. | Explain energy.
Explain common law. | Explain law.
List the holidays in May. | List the holidays.
List jobs in IT. | List jobs.
Convert 5 m to inches | Convert 5 d to inches
Write a news article about cats. | Write a new article about cats."""

SAME_TASK = """
What are some ways to reduce stress? | Give me five tips for reducing stress.
Explain the concept of photosynthesis. | What is photosynthesis?
Describe how cloud computing works. | Explain how cloud computing works
Write a short story about a dragon. | Create a short story about dragons.
List three benefits of online shopping. | Name some advantages of online shopping
Generate 10 questions about nutrition. | Come up with 10 questions about nutrition.
Why is the sky blue? | Explain why the sky is blue.
Provide three reasons why diversity is important. | Explain why diversity is important.
Calculate the area of a triangle with base 5 cm and height 6 cm. | What is the area of a triangle of base 5 cm and height 6 cm?
Can you please tell me how to bake bread? | How do I bake bread?
What's the difference between tennis and pickleball? | Explain the difference between tennis and pickleball.
Write a Python function that reverses a string. | Create a Python function to reverse a string
Make a list of five healthy snacks. | Suggest 5 healthy snacks."""


def list_pairs(text: str) -> list[list[str]]:
    return [line.split(" | ") for line in text.strip().splitlines()]


def ask_the_same(one: str, two: str, answers: tuple[str, str] = ("", "")) -> bool:
    return not set(hash_task(one, answers[0])).isdisjoint(hash_task(two, answers[1]))


@pytest.mark.parametrize(("one", "two"), list_pairs(OTHER_TASKS))
def test_other_tasks_differ(one: str, two: str) -> None:
    """Issue 13's attack, and its brothers: directions, opposites, sums, names, quoted text."""
    assert not ask_the_same(one, two)


@pytest.mark.parametrize(("one", "two"), list_pairs(SAME_TASK))
def test_other_words_of_asking_are_the_same_task(one: str, two: str) -> None:
    assert ask_the_same(one, two)


def test_exercises_that_differ_in_numbers_alone_are_one_task() -> None:
    """Issue 13, C7: five areas of triangles are one exercise; two sums and two years are not."""
    one = "What is the area of a 3 by 4 field?"
    two = "What is the area of a 5 by 6 field?"
    worked = [f"The area of the field is {area} square units." for area in (12, 30)]
    assert ask_the_same(one, two, (worked[0], worked[1]))
    assert not ask_the_same(one, two, ("12", "30"))
    assert not ask_the_same(
        "What is 2 times 3?", "What is 2 times 4?", ("It is 6.", "It is 8.")
    )
    winners = ("France won the cup in that year.", "Brazil won the cup in that year.")
    assert not ask_the_same("Who won in 1998?", "Who won in 2002?", winners)


def test_tasks_at_the_end_of_a_long_text_differ() -> None:
    text = "def area(a, b):\n    return a * b\n" * 50
    assert not ask_the_same(f"{text}\nFind the bug.", f"{text}\nConvert it to Java.")


@given(st.text(), st.text())
def test_any_text_has_keys(question: str, response: str) -> None:
    """The same text has the same keys, and keys are never those of nothing."""
    keys = hash_task(question, response)
    assert keys == hash_task(f" {question}\n", response)
    if question.strip():
        assert not set(keys) & set(hash_task("", response))
