"""Encoder output that is kept between two questions about one window."""

import numpy as np

from serving.engines.kept_encodings import KeptEncodings


def sound(number: int) -> np.ndarray:
    return np.full(100, number, dtype=np.int16)


def encoded(number: int) -> np.ndarray:
    return np.full((2, 3), number, dtype=np.float32)


def test_it_is_given_out_once():
    kept = KeptEncodings(2)
    kept.keep(sound(1), encoded(1))
    assert kept.holds(sound(1))
    np.testing.assert_array_equal(kept.take(sound(1)), encoded(1))
    assert not kept.holds(sound(1))
    assert kept.take(sound(1)) is None


def test_of_many_the_latest_are_kept():
    kept = KeptEncodings(2)
    for number in range(4):
        kept.keep(sound(number), encoded(number))
    assert [kept.holds(sound(number)) for number in range(4)] == [False, False, True, True]


def test_it_is_a_copy_and_holds_no_batch_in_memory():
    kept = KeptEncodings(1)
    batch = np.stack([encoded(1), encoded(2)])
    kept.keep(sound(1), batch[0])
    found = kept.take(sound(1))
    assert found is not None
    assert found.base is None


def test_none_are_kept_where_none_shall_be():
    kept = KeptEncodings(0)
    kept.keep(sound(1), encoded(1))
    assert not kept.holds(sound(1))
