"""Users who send at the same time get as much as each other, and what one cannot use is there for the others."""

from collections import Counter
from collections.abc import Mapping

import pytest

from uploadstream.core.sizes import KIB, MIB
from uploadstream.core.turns import (
    BODY_COST,
    CREDIT_MAX,
    CROWD,
    LEAD_MAX,
    PIECES_MAX,
    ROUNDS_TO_COME,
    Standing,
    Turns,
    sender,
)

PIECE = 256 * KIB


class Game:
    """Rounds in which each user's bodies send a piece, unless they wait or have none just then."""

    def __init__(self, bodies: Mapping[str, int]) -> None:
        self.turns = Turns()
        self.users = {name: Standing() for name in bodies}
        self.sent: Counter[str] = Counter()
        for name, standing in self.users.items():
            self.turns.join(standing)
            standing.have(bodies[name])

    def play(self, rounds: int, *, idle: Mapping[str, int] | None = None, piece: int = PIECE) -> Counter[str]:
        """`idle`: in all but each so-manieth round this user has nothing to send. What each has sent."""
        self.sent = Counter()
        for number in range(rounds):
            for standing, count in self.turns.next_round(self.users.values()):
                standing.waiting -= count
            for name, standing in self.users.items():
                if not number % (idle or {}).get(name, 1):
                    for _ in range(standing.bodies - standing.waiting):
                        self.sent[name] += piece
                        standing.waiting += not self.turns.spend(standing, piece)
        return self.sent


def test_two_users_with_one_body_each_get_the_same() -> None:
    sent = Game({"ann": 1, "bob": 1}).play(1000)

    assert sent["ann"] == pytest.approx(sent["bob"], rel=0.05)


def test_three_users_get_the_same() -> None:
    sent = Game({"ann": 1, "bob": 1, "joe": 1}).play(1000)

    assert sent["ann"] == pytest.approx(sent["bob"], rel=0.05)
    assert sent["ann"] == pytest.approx(sent["joe"], rel=0.05)


def test_one_who_sends_larger_pieces_gets_no_more() -> None:
    game = Game({"ann": 1, "bob": 1})
    ann, bob = game.users.values()
    sent = Counter[str]()
    for _ in range(2000):
        for standing, count in game.turns.next_round(game.users.values()):
            standing.waiting -= count
        for name, standing, piece in (("ann", ann, MIB), ("bob", bob, 64 * KIB)):
            if not standing.waiting:
                sent[name] += piece
                standing.waiting += not game.turns.spend(standing, piece)

    assert sent["ann"] == pytest.approx(sent["bob"], rel=0.05)


def test_a_crowd_leaves_another_two_thirds() -> None:
    """More than half, because sharing has its price as well."""
    game = Game({"crowd": 100, "ann": 1})
    game.play(300)  # the hundred send their first piece at once, which the other has to catch up on
    sent = game.play(2000)

    assert sent["ann"] / sent.total() == pytest.approx(2 / 3, abs=0.03)


def test_a_crowd_gets_all_that_nobody_else_wants() -> None:
    alone = Game({"crowd": 100}).play(1000)
    beside_a_slow_one = Game({"crowd": 100, "ann": 1})
    beside_a_slow_one.play(200)
    sent = beside_a_slow_one.play(1000, idle={"ann": 50})

    assert alone["crowd"] >= 1000 / ROUNDS_TO_COME * PIECES_MAX * PIECE
    assert sent["ann"] == 1000 / 50 * PIECE
    assert sent["crowd"] >= 1000 / ROUNDS_TO_COME * PIECE


def test_no_round_takes_more_than_a_few_pieces_of_one_user() -> None:
    game = Game({"crowd": 100})
    game.play(10)

    for _ in range(100):
        assert game.play(1)["crowd"] <= 2 * PIECES_MAX * PIECE


def test_whoever_comes_later_begins_where_the_others_are() -> None:
    game = Game({"ann": 1, "bob": 1})
    game.play(1000)
    late = game.users["carl"] = Standing()
    game.turns.join(late)
    late.have(1)

    sent = game.play(1000)

    assert sent["carl"] == pytest.approx(sent["ann"], rel=0.05)


def test_one_who_was_away_catches_up_on_a_little_only() -> None:
    game = Game({"ann": 1, "bob": 1})
    ann, bob = game.users.values()
    for _ in range(1000):
        game.turns.next_round([])
        game.turns.spend(bob, MIB)
    game.turns.next_round([])

    game.turns.spend(ann, MIB)

    assert bob.clock - ann.clock == pytest.approx(CREDIT_MAX - MIB, abs=MIB)


def test_when_one_leaves_the_other_may_use_all_rounds() -> None:
    game = Game({"ann": 1, "bob": 1})
    game.play(100)
    ann = game.users.pop("ann")
    ann.have(0)
    game.turns.leave()
    game.play(ROUNDS_TO_COME)

    assert game.play(100)["bob"] == 100 * PIECE


def test_one_whose_bytes_are_being_stored_is_waited_for() -> None:
    turns, ann, bob = Turns(), Standing(), Standing()
    turns.join(ann)
    turns.join(bob)
    turns.spend(ann, PIECE)
    turns.spend(bob, 4 * LEAD_MAX)
    ann.storing = bob.waiting = 1

    assert [turns.next_round([ann, bob]) for _ in range(10)] == [[]] * 10
    assert turns.is_idle
    ann.is_stuck = True
    assert turns.next_round([ann, bob]) == [(bob, 1)]
    assert not turns.is_idle


def test_one_that_was_stuck_is_not_when_it_goes_on() -> None:
    turns, ann = Turns(), Standing(is_stuck=True, storing=1)
    turns.join(ann)

    turns.spend(ann, PIECE)

    assert ann.wants_to_send


def test_who_is_let_go_and_sends_nothing_does_not_keep_its_others_back() -> None:
    turns, ann = Turns(), Standing()
    turns.join(ann)
    ann.have(CROWD)
    for _ in range(CROWD):
        ann.waiting += not turns.spend(ann, PIECE)

    rounds = 0
    while ann.waiting:
        rounds += 1
        ann.waiting -= sum(count for _, count in turns.next_round([ann]))

    assert rounds <= ROUNDS_TO_COME * (CROWD / PIECES_MAX)


def test_who_is_far_behind_is_never_held_up() -> None:
    game = Game({"crowd": 100, "ann": 1})

    sent = game.play(300, piece=BODY_COST)

    assert sent["ann"] > sent["crowd"] / 2


def test_a_byte_costs_twice_as_much_at_most() -> None:
    prices = []
    for bodies in (0, 1, 2, CROWD, 100 * CROWD):
        standing = Standing()
        standing.have(bodies)
        prices.append(standing.price)

    assert prices[:2] == [1, 1]
    assert 1 < prices[2] < 2
    assert prices[3:] == [pytest.approx(2), 2]


def test_users_share_by_name_and_those_without_one_by_address() -> None:
    assert sender("ann", "192.0.2.1") == sender("ann", "192.0.2.2")
    assert sender("ann", "192.0.2.1") != sender("bob", "192.0.2.1")
    assert sender("anonymous", "192.0.2.1") != sender("anonymous", "192.0.2.2")
    assert sender("anonymous", "2001:db8:0:1::5") == sender("anonymous", "2001:db8:0:1:ffff::6")
    assert sender("anonymous", "2001:db8:0:1::5") != sender("anonymous", "2001:db8:0:2::5")
    assert sender("anonymous", "unix:/run/x") == ("anonymous", "unix:/run/x")
