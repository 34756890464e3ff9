"""Of ExifTool's tags the important ones are kept, in a form that a database takes."""

from serving.engines.media_metadata import pick


def test_dates_are_iso_and_clocks_that_were_never_set_are_none():
    tags = {"CreateDate": "0000:00:00 00:00:00", "DateUTC": "2021:05:01 12:00:00Z"}

    assert pick(tags) == {"CreateDate": "2021-05-01T12:00:00Z"}
    assert pick({"ModifyDate": "1970:01:01 00:00:00"}) == {}
    assert pick({"Date": 20240229}) == {"CreateDate": "2024-02-29"}
    assert pick({"Date": 20230229}) == {}


def test_values_fit_a_database():
    tags = {"Title": "a\x00b\ud800", "Comment": "x" * 99_999, "Genre": ["a", "b"], "Other": 1}

    picked = pick(tags)

    assert picked["Title"] == "ab?"
    assert len(picked["Comment"]) == 4_000
    assert picked["Genre"] == '["a", "b"]'
    assert "Other" not in picked
