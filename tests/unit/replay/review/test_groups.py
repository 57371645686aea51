from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replay.review.groups import Common, grouped
from replay.review.wrong import Wrong
from tests.support.reviews import wrong

MANY = [{"from": "SP", "sellers": "one"}] * 90 + [{"from": "MA", "sellers": "one"}] * 10


def test_like_wrongs_are_one_group_told_by_the_heaviest() -> None:
    wrongs = [wrong(entity=f"order:{n}", error=n / 10) for n in range(1, 6)] + [wrong(verdict="missed")]
    groups = grouped(wrongs, MANY)
    assert [(group.first.verdict, len(group.wrongs)) for group in groups] == [("false alarm", 5), ("missed", 1)]
    assert groups[0].first.entity == "order:5"


def test_what_a_group_has_in_common_is_what_is_rare_elsewhere() -> None:
    wrongs = [wrong(entity=f"order:{n}", traits={"from": "MA" if n < 4 else "SP", "sellers": "one"}) for n in range(5)]
    (group,) = grouped(wrongs, MANY)
    assert group.common == [Common("from", "MA", 4, 0.1)]


def test_chance_is_not_told_as_common() -> None:
    wrongs = [wrong(entity=f"order:{n}", traits={"from": "MA"}) for n in range(2)]
    assert grouped(wrongs, MANY)[0].common == []


WRONGS = st.lists(
    st.builds(
        wrong,
        entity=st.sampled_from([f"order:{n}" for n in range(9)]),
        error=st.floats(0, 1),
        cost=st.floats(0, 9),
        like=st.sampled_from("ab"),
        kind=st.sampled_from("cd"),
    ),
    unique_by=lambda each: each.entity,
)


@given(WRONGS, st.randoms(use_true_random=False))
def test_order_of_the_groups_does_not_depend_on_that_of_the_wrongs(wrongs: list[Wrong], chance: object) -> None:
    shuffled = wrongs.copy()
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    names = [[each.entity for each in group.wrongs] for group in grouped(wrongs, MANY)]
    assert names == [[each.entity for each in group.wrongs] for group in grouped(shuffled, MANY)]
    assert sorted(name for group in names for name in group) == sorted(each.entity for each in wrongs)
