from kadnet.lab.model.engine import Engine


def test_calls_come_in_the_order_of_their_times_and_then_of_their_making() -> None:
    engine = Engine()
    said: list[str] = []
    for when, what in ((2.0, "c"), (1.0, "a"), (2.0, "d"), (1.0, "b")):
        engine.at(when, said.append, what)
    engine.run_until(2.0)
    assert said == ["a", "b", "c", "d"]


def test_the_time_is_that_of_the_call_and_at_last_that_of_the_end() -> None:
    engine = Engine()
    seen: list[float] = []
    engine.at(0.5, lambda: seen.append(engine.now))
    engine.at(3.0, lambda: seen.append(engine.now))
    engine.run_until(2.0)
    assert seen == [0.5]
    assert engine.now == 2.0
    assert len(engine) == 1


def test_a_call_may_ask_for_another_at_once() -> None:
    engine = Engine()
    seen: list[float] = []

    def again(left: int) -> None:
        seen.append(engine.now)
        if left:
            engine.at(engine.now + 0.25, again, left - 1)

    engine.at(0.0, again, 4)
    engine.run_until(1.0)
    assert seen == [0.0, 0.25, 0.5, 0.75, 1.0]
