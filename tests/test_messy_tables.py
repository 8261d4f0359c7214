"""The preprocessor on tables as people have them."""

from __future__ import annotations

import datetime
import pickle
import re
import subprocess
import sys
import uuid
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_mmoe.preprocessing import make_tabular_preprocessor

N = 120
RNG = np.random.default_rng(0)
DAYS = pd.date_range("2021-01-29", periods=N, freq="37h")
HOURS, MINUTES = RNG.integers(0, 24, N), RNG.integers(0, 60, N)
SECONDS = RNG.integers(0, 10**6, N)
AMOUNTS = RNG.normal(5e3, 2e4, N).round(2)


def objects(values):
    """Return a column of Python's objects, which pandas does not convert."""
    column = pd.Series([None] * len(values), dtype=object)
    column[:] = list(values)
    return column


def fit(column, **parameters):
    preprocessor = make_tabular_preprocessor(sparse=False, **parameters)
    return preprocessor.fit(pd.DataFrame({"x": column}))


def encode(column, **parameters):
    return fit(column, **parameters).transform(pd.DataFrame({"x": column}))


def kind(column):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The columns .* are left out")
        return fit(column).column_to_kind_["x"]


# Each beside what it should be read as.
WRITTEN = {
    "strings": (AMOUNTS.astype(str), AMOUNTS),
    "whole": (MINUTES.astype(str), MINUTES),
    "spaces": ([f"  {x} " for x in AMOUNTS], AMOUNTS),
    "exponents": ([f"{x:.8e}" for x in AMOUNTS], AMOUNTS),
    "thousands": ([f"{x:,}" for x in AMOUNTS], AMOUNTS),
    "money": ([f"${x:,}" for x in AMOUNTS], AMOUNTS),
    "shares": ([f"{x}%" for x in AMOUNTS], AMOUNTS),
    "decimal comma": ([str(x).replace(".", ",") for x in AMOUNTS], AMOUNTS),
    "Decimals": (objects([Decimal(str(x)) for x in AMOUNTS]), AMOUNTS),
    "fractions": (objects([Fraction(int(x), 8) for x in SECONDS]), SECONDS / 8),
    "numbers and strings": (
        objects([str(x) if i % 2 else x for i, x in enumerate(AMOUNTS)]),
        AMOUNTS,
    ),
    "nullable": (pd.Series(AMOUNTS, dtype="Float64"), AMOUNTS),
    "rare categories": (pd.Categorical(AMOUNTS.astype(str)), AMOUNTS),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_numbers_however_they_are_written(written):
    column, numbers = WRITTEN[written]
    assert kind(column) == "numeric"
    np.testing.assert_array_equal(encode(column), encode(numbers))


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        # There is no zero before thousands.
        (["0,875", "1,250", "2", "3", "10"], [0.875, 1.25, 2, 3, 10]),
        (["-0,875", "1,250"], [-0.875, 1.25]),
        (["0.875", "1.250", "2"], [0.875, 1.25, 2]),
        (["1,250", "812", "12,300,000"], [1250, 812, 12_300_000]),
        (["$1,250", "$812", "$95"], [1250, 812, 95]),
        (["1.250 €", "812 €", "95 €", "2.100 €"], [1250, 812, 95, 2100]),
        (["EUR 1.250", "EUR 812", "?!"], [1250, 812, np.nan]),
        (["1.250 €", "12.300.000 €"], [1250, 12_300_000]),
        (["1.250,5 €", "1.250 €"], [1250.5, 1250]),
    ],
    ids=str,
)
def test_marks_between_thousands_and_of_decimals(texts, numbers):
    # One odd value is a slip.
    times = [1 if text == "?!" else 20 for text in texts]
    column = np.repeat(np.array(texts, dtype=object), times)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*'\\?!'.*")
        found = encode(column)
    np.testing.assert_array_equal(found, encode(np.repeat(numbers, times)))


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1.459 €", "1.609 €"], [1.459, 1.609]),  # of fuel, perhaps
        (["1.250", "812", "95"], [1.25, 812, 95]),
        (["1.250 €", "1812 €"], [1.25, 1812]),
    ],
    ids=str,
)
def test_a_point_that_may_part_thousands_is_told_of(texts, numbers):
    with pytest.warns(UserWarning, match=r"'x' holds numbers such as '1\.\d{3}.*point"):
        found = encode(texts * 20)
    np.testing.assert_array_equal(found, encode(numbers * 20))


@pytest.mark.parametrize(
    ("known", "new", "number"),
    [
        (["812", "95"], ["1.250"], 1.25),
        (["812 €", "95 €"], ["12 €", "1.250 €"], 1.25),
        (["-812%", "95%"], ["95%", "-1.250%"], -1.25),
    ],
    ids=str,
)
def test_a_point_after_numbers_without_one_is_told_of(known, new, number):
    model = make_tabular_preprocessor().fit(pd.DataFrame({"x": known * 20}))
    X = pd.DataFrame({"x": new})
    with pytest.warns(UserWarning, match=r"'x' holds numbers such as '.*1\.250.*point"):
        found = model.transform(X)
    model.transform(X)  # told once
    same = model.transform(pd.DataFrame({"x": [*new[:-1], number]}, dtype=object))
    np.testing.assert_array_equal(found.toarray(), same.toarray())


@pytest.mark.parametrize(
    ("known", "new"),
    [
        (["8120", "95"], "1.250"),  # thousands have no mark
        (["812", "95.5"], "1.250"),
        (["812", "1,250"], "1.250"),
        (["812", "95"], "1.25"),
        (["812", "95"], "0.125"),
        (["812", "95"], "1,250"),
    ],
)
def test_a_point_that_can_be_read_is_not_told_of(known, new):
    model = make_tabular_preprocessor().fit(pd.DataFrame({"x": known * 20}))
    model.transform(pd.DataFrame({"x": [new]}))


def test_percent_beside_plain_numbers_is_told_of():
    with pytest.warns(UserWarning, match=r"'x' holds .* such as '50%' and '0\.5'"):
        found = encode(["50%", "0.5", "70%"] * 20)
    np.testing.assert_array_equal(found, encode([50, 0.5, 70] * 20))
    encode(["50%", "0.5%", None, "n/a", "0", "0.0"] * 10)  # no warning


@pytest.mark.parametrize("words", [["PT"], ["P", "-P"], ["PT", "ES"], ["P1DT", "PT"]])
def test_codes_are_no_durations(words):
    X = pd.DataFrame({"x": words * 30, "y": np.arange(30.0 * len(words))})
    model = make_tabular_preprocessor().fit(X)
    assert model.column_to_kind_["x"] == "categorical"
    durations = pd.DataFrame({"x": ["P1D", "PT2H", "-PT3M", "P1DT4.5S"] * 20})
    assert make_tabular_preprocessor().fit(durations).column_to_kind_ == {
        "x": "duration"
    }


@pytest.mark.parametrize("time", ["25:30", "-1:00", "24:00"])
def test_a_time_of_no_day_is_refused(time):
    X = pd.DataFrame({"x": [f"{hour}:{m:02}" for hour in range(24) for m in (0, 7)]})
    model = make_tabular_preprocessor().fit(X)
    assert model.column_to_kind_ == {"x": "time"}
    with pytest.raises(
        ValueError, match=f"'x' was time in fit, but now holds '{time}'"
    ):
        model.transform(X.assign(x=time))


@pytest.mark.parametrize("word", ["", "  ", "NA", "n/a", "?", "nan", "None", "-", None])
def test_words_for_missing_numbers(word):
    strings = np.array(AMOUNTS.astype(str), dtype=object)
    numbers = AMOUNTS.copy()
    strings[::7], numbers[::7] = word, np.nan
    np.testing.assert_array_equal(encode(strings), encode(numbers))


@pytest.mark.parametrize(
    "column",
    [
        [f"0{x}" for x in RNG.integers(1000, 1005, N)],  # post codes
        RNG.choice(["20-29", "30-39"], N),
        RNG.choice(["1990-2000", "2001-2010"], N),
        RNG.choice(["1-2", "3-0", "10-12"], N),
        RNG.choice(["May", "June", "1st"], N),
        RNG.choice(["1.2.3", "1.10.0"], N),
        RNG.choice(["5 m", "10 m"], N),
        pd.Categorical((MINUTES % 4).astype(str)),
        RNG.random(N) < 0.5,
        objects(RNG.choice(np.array([True, False, None], dtype=object), N)),
        objects(RNG.choice(np.array([1, "a", 3.5], dtype=object), N)),
        [None] * N,
    ],
    ids=str,
)
def test_what_only_looks_like_numbers_or_dates_is_categorical(column):
    assert kind(column) == "categorical"


ONE_ODD = {
    "numbers": (objects(["approx 40k", *AMOUNTS[1:]]), "a number"),
    "strings": (["approx 40k", *AMOUNTS[1:].astype(str)], "a number"),
    "decimal comma": (
        ["?!", *[str(x).replace(".", ",") for x in AMOUNTS[1:]]],
        "a number",
    ),
    "few numbers": (["lots", *[f"{x % 7}%" for x in MINUTES[1:]]], "a number"),
    "dates": (["no date", *DAYS[1:].strftime("%d/%m/%Y")], "a date"),
    "no such day": (["31/02/2023", *DAYS[1:].strftime("%d/%m/%Y")], "a date"),
    "ISO dates": (["2023-02-31", *DAYS[1:].strftime("%Y-%m-%d")], "a date"),
    "date objects": (objects(["none yet", *DAYS[1:].date]), "a date"),
}


@pytest.mark.slow_but_first
@pytest.mark.parametrize("written", ONE_ODD)
def test_one_odd_value_is_missing_with_a_warning(written):
    column, kind = ONE_ODD[written]
    frame = pd.DataFrame({"x": column}).set_axis([f"r{i}" for i in range(N)])
    word = frame["x"].iloc[0]
    message = (
        f"'x' is .* 1 of its {N} values cannot be read as {kind}: the first is "
        f"{re.escape(repr(word))}, in row 'r0'"
    )
    with pytest.warns(UserWarning, match=message) as warned:
        preprocessor = make_tabular_preprocessor(sparse=False).fit(frame)
    assert len(warned) == 1
    clean = frame.assign(x=frame["x"].mask(np.arange(N) == 0))
    expected = make_tabular_preprocessor(sparse=False).fit_transform(clean)
    np.testing.assert_array_equal(preprocessor.transform(clean), expected)
    # What was missing in fit is missing later, without a word.
    np.testing.assert_array_equal(preprocessor.transform(frame), expected)
    # So is another such word, with one, that does not point into a library.
    later = frame[:2].assign(x=[frame["x"].iloc[1], "someday"])
    message = f"'x' is .* cannot be read as {kind}, others than in fit"
    with pytest.warns(UserWarning, match=message) as warned:
        encoded = preprocessor.transform(later)
    np.testing.assert_array_equal(encoded, expected[[1, 0]])
    assert [w.filename for w in warned] == [__file__]
    # It is said once.
    later["x"] = [frame["x"].iloc[1], "never"]
    np.testing.assert_array_equal(preprocessor.transform(later), encoded)


@pytest.mark.parametrize(
    "column", [[2021, *DAYS[1:].date], [DAYS[0].date(), *AMOUNTS[1:]]]
)
def test_a_row_alone_is_what_it_is_among_others(column):
    frame = pd.DataFrame({"x": objects(column)})
    with pytest.warns(UserWarning, match="'x' is .*, in row 0. .* taken for missing"):
        preprocessor = make_tabular_preprocessor(sparse=False).fit(frame)
    alone = preprocessor.transform(frame[:1])
    np.testing.assert_array_equal(alone, preprocessor.transform(frame)[:1])


WHOLE_COLUMNS = {
    "whole numbers": np.arange(N),
    "numbers": AMOUNTS,
    "nullable": pd.Series(AMOUNTS, dtype="Float64"),
    "dates": DAYS,
    "date objects": objects(DAYS.date),
    "durations": pd.to_timedelta(SECONDS, unit="s"),
    "truths": AMOUNTS > 0,
}


@pytest.mark.parametrize(
    ("written", "other"),
    [
        *(("strings", other) for other in ("dates", "date objects", "durations")),
        *(("ISO dates", other) for other in WHOLE_COLUMNS if "date" not in other),
        *(("date objects", other) for other in WHOLE_COLUMNS if "date" not in other),
    ],
)
def test_columns_of_another_type_are_not_a_few_odd_values(written, other):
    with pytest.warns(UserWarning, match="taken for missing"):
        preprocessor = fit(ONE_ODD[written][0])
    later = pd.DataFrame({"x": WHOLE_COLUMNS[other]})
    with pytest.raises(ValueError, match=r"Column 'x' was .* in fit.*, but now holds"):
        preprocessor.transform(later)


@pytest.mark.parametrize(
    "column",
    [
        ["4+"] * 6 + list(RNG.choice(["1", "2", "3"], N - 6)),
        ["01234", "04711", *RNG.choice(["99999", "12345"], N - 2)],
        ["maybe", *[bool(x % 2) for x in MINUTES[1:]]],
        ["x"] * 10 + list(RNG.choice(["1", "2", "3"], N - 10)),
        ["90+"] * 40 + [str(i % 80) for i in range(960)],
    ],
    ids=["open end", "codes", "truths", "too many", "in 4 % of the rows"],
)
def test_odd_values_that_say_something(column):
    assert kind(objects(column)) == "categorical"


def test_too_many_odd_values_are_text_as_before():
    column = [*["about 5", "many", "a few", "none of them", "lots"] * 3]
    with pytest.warns(UserWarning, match="'x' is taken for text, .* such as '[\\d.]+'"):
        assert kind(objects([*column, *AMOUNTS[15:].astype(str)])) == "text"


MONEY = {
    "after": [f"{x:,.2f} EUR" for x in AMOUNTS],
    "before": [
        f"{'-' if x < 0 else ''}EUR {abs(x):.2f}".replace(".", ",") for x in AMOUNTS
    ],
    "whole": [f"{x} USD" for x in SECONDS],
    "signs and codes": [
        f"{x} €" if i % 2 else f"{x}EUR" for i, x in enumerate(AMOUNTS)
    ],
    "a sign before": [f"€ {x}" for x in AMOUNTS],
}


@pytest.mark.parametrize("written", MONEY)
def test_amounts_with_the_code_of_their_currency(written):
    numbers = SECONDS if written == "whole" else AMOUNTS
    assert kind(MONEY[written]) == "numeric"
    np.testing.assert_array_equal(encode(MONEY[written]), encode(numbers))


@pytest.mark.parametrize(
    "codes",
    [
        "SEK001 NOK001 DKK001",
        "PEN-1000 PEN-1001",
        "TRY1 MAD1",
        "COP21 COP22",
        "PEN_-1000 PEN_-1001",
        "SEK_007 SEK_008",
        "007SEK 008SEK",
        "$007 $008",
        "ABC_1001 ABC_1002",
    ],
)
def test_codes_of_currencies_make_no_numbers_of_codes(codes):
    codes = codes.split()
    column = [codes[i % len(codes)].replace("_", " ") for i in range(N)]
    assert kind(column) == "categorical"


MIXED_MONEY = {
    "codes": [f"EUR {x}" if i % 2 else f"JPY {x}" for i, x in enumerate(SECONDS)],
    "signs": [f"${x}" if i % 2 else f"€{x}" for i, x in enumerate(SECONDS)],
    "sign and code": [f"{x} €" if i % 2 else f"{x} NOK" for i, x in enumerate(SECONDS)],
    "one of all": ["JPY 965", *[f"EUR {x}" for x in SECONDS[1:]]],
    "one of many": [*[f"EUR {x}" for x in range(3001)], "JPY 9"],
    "few": [f"{3 + i % 3} {'EUR' if i % 2 else 'USD'}" for i in range(N)],
}


@pytest.mark.parametrize("written", MIXED_MONEY)
def test_amounts_in_several_currencies_are_no_numbers(written):
    with pytest.warns(UserWarning, match="'x' is .* more than one currency: [A-Z]{3},"):
        preprocessor = fit(MIXED_MONEY[written])
    expected = "categorical" if written == "few" else "text"
    assert preprocessor.column_to_kind_ == {"x": expected}


def test_amounts_in_another_currency_than_in_fit():
    preprocessor = fit([f"EUR {x}" for x in SECONDS])
    with pytest.raises(ValueError, match=r"'x' was numeric in fit, in EUR, .* '5 JPY'"):
        preprocessor.transform(pd.DataFrame({"x": ["€ 3", "5 JPY"]}))
    preprocessor = fit(SECONDS)
    with pytest.raises(ValueError, match=r"'x' was numeric in fit, .* '5 JPY'"):
        preprocessor.transform(pd.DataFrame({"x": ["€ 3", "5 JPY"]}))


@pytest.mark.parametrize("text", ["+-5", "-$-5", "- -5", "EUR 5 USD", "EUR5", "5 $ €"])
def test_what_is_no_amount(text):
    preprocessor = fit(SECONDS)
    with pytest.raises(ValueError, match=re.escape(f"now holds {text!r}")):
        preprocessor.transform(pd.DataFrame({"x": [text]}))


def test_most_dates_have_the_months_first():
    """The few others come first, and are clearest."""
    days = pd.date_range("2021-01-01", periods=1000)
    few = days[days.day > 12][:20].strftime("%d/%m/%Y")
    months_first = days.strftime("%m/%d/%Y")
    with pytest.warns(UserWarning, match="'x' is datetime, but 20 of its 1020 values"):
        preprocessor = fit([*few, *months_first])
    encoded = preprocessor.transform(pd.DataFrame({"x": months_first}))
    later = preprocessor.transform(pd.DataFrame({"x": days.astype(str)}))
    np.testing.assert_array_equal(encoded, later)


def test_dates_of_mixed_formats_are_no_identifiers():
    days = pd.date_range("2021-01-13", periods=N)
    mixed = [d.strftime("%d/%m/%Y" if d.day % 2 else "%Y/%m/%d") for d in days]
    with pytest.warns(UserWarning, match="'x' is taken for text.* pd.to_datetime"):
        preprocessor = fit(mixed)
    assert preprocessor.column_to_kind_ == {"x": "text"}
    # ISO dates mean one day beside whatever others.
    mixed = [d.strftime("%d/%m/%Y" if d.day % 2 else "%Y-%m-%d") for d in days]
    np.testing.assert_array_equal(encode(mixed), encode(days))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%B %d, %Y"])
def test_iso_dates_after_a_fit_on_others(form):
    preprocessor = fit(DAYS.strftime(form))
    later = pd.DataFrame({"x": DAYS.strftime("%Y-%m-%d")})
    expected = encode(DAYS.strftime(form))
    np.testing.assert_array_equal(preprocessor.transform(later), expected)
    message = f"written as '{re.escape(form)}' .or as ISO 8601., but now holds 'soon'"
    with pytest.raises(ValueError, match=message):
        preprocessor.transform(pd.DataFrame({"x": ["soon"]}))


DATES = {
    "dates": (DAYS, DAYS),
    "as read_csv has them": (DAYS.astype(str), DAYS),
    "ISO": (DAYS.strftime("%Y-%m-%dT%H:%M:%S"), DAYS),
    "ISO, UTC": (DAYS.strftime("%Y-%m-%dT%H:%M:%SZ"), DAYS),
    "offsets": (DAYS.tz_localize("Etc/GMT-2").strftime("%Y-%m-%d %H:%M:%S%z"), None),
    "days first": (DAYS.strftime("%d/%m/%Y"), DAYS.normalize()),
    "months first": (DAYS.strftime("%m/%d/%Y"), DAYS.normalize()),
    "points": (DAYS.strftime("%d.%m.%Y %H:%M"), DAYS),
    "words": (DAYS.strftime("%B %d, %Y"), DAYS.normalize()),
    "short words": (DAYS.strftime("%d-%b-%Y"), DAYS.normalize()),
    "date objects": (objects(DAYS.date), DAYS.normalize()),
    "datetime objects": (objects(DAYS.to_pydatetime()), DAYS),
    "zone": (DAYS.tz_localize("Asia/Tokyo"), DAYS),
    "periods": (DAYS.to_period("D"), DAYS.normalize()),
    "period objects": (objects(DAYS.to_period("D")), DAYS.normalize()),
    "months": (DAYS.strftime("%Y-%m"), DAYS.to_period("M").to_timestamp()),
    "quarters": (
        DAYS.to_period("Q").astype(str),
        DAYS.to_period("Q").to_timestamp(),
    ),
    "days in categories": (pd.Categorical(DAYS.astype(str)), DAYS),
}


@pytest.mark.slow_but_first
@pytest.mark.parametrize("written", DATES)
def test_dates_however_they_are_written(written):
    column, dates = DATES[written]
    preprocessor = fit(column)
    assert preprocessor.kind_to_columns_["datetime"] == ["x"]
    encoded = preprocessor.transform(pd.DataFrame({"x": column}))
    assert np.isfinite(encoded).all()
    assert (encoded.std(axis=0) > 0).all()
    if dates is not None:
        np.testing.assert_array_equal(encoded, encode(dates))
        # What was fitted on one takes the other.
        later = preprocessor.transform(pd.DataFrame({"x": dates}))
        if written != "zone":  # where dates without one are of UTC
            np.testing.assert_array_equal(encoded, later)


@pytest.mark.slow
def test_missing_dates():
    strings = np.array(DAYS.astype(str), dtype=object)
    strings[::5] = "unknown"
    dates = pd.Series(DAYS).mask(np.arange(N) % 5 == 0)
    np.testing.assert_array_equal(encode(strings), encode(dates))
    for missing in (None, np.nan, pd.NaT):
        column = objects([missing if pd.isna(date) else date for date in dates])
        np.testing.assert_array_equal(encode(column), encode(dates))
    months = pd.Series(DAYS).dt.to_period("M").dt.to_timestamp().mask(dates.isna())
    for missing in (None, np.nan, pd.NaT, pd.NA):
        periods = [missing if pd.isna(m) else pd.Period(m, freq="M") for m in months]
        np.testing.assert_array_equal(encode(objects(periods)), encode(months))
    missing = pd.NaT
    aware = objects([missing if pd.isna(d) else d.tz_localize("UTC") for d in dates])
    np.testing.assert_array_equal(encode(aware), encode(dates))
    assert "datetime__x_missing" in fit(dates).get_feature_names_out()


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    "far",
    [
        "9999-12-31",
        "1066-10-14",
        datetime.date(9999, 12, 31),
        datetime.datetime(1, 1, 1),
        np.datetime64("2400-01-01", "s"),
    ],
)
def test_dates_that_nanoseconds_do_not_reach(far):
    frame = pd.DataFrame({"x": [far] * 2})
    encoded = fit(DAYS).transform(frame)
    assert np.isfinite(encoded).all()
    assert np.abs(encoded).max() < 10
    column = objects([far, *([str(far)[:10]] * 2 if isinstance(far, str) else [far])])
    assert np.isfinite(encode(column)).all()


DURATIONS = {
    "timedeltas": pd.to_timedelta(SECONDS, unit="s"),
    "as read_csv has them": pd.to_timedelta(SECONDS, unit="s").astype(str),
    "objects": objects([datetime.timedelta(seconds=int(s)) for s in SECONDS]),
    "clock": [f"{s // 3600}:{s // 60 % 60:02}:{s % 60:02}" for s in SECONDS],
    "units": [f"{s // 3600}h {s // 60 % 60}min {s % 60}s" for s in SECONDS],
}


@pytest.mark.parametrize("written", DURATIONS)
def test_durations_however_they_are_written(written):
    assert kind(DURATIONS[written]) == "duration"
    np.testing.assert_array_equal(encode(DURATIONS[written]), encode(SECONDS))


TIMES = {
    "objects": objects(
        [datetime.time(h, m) for h, m in zip(HOURS, MINUTES, strict=True)]
    ),
    "minutes": [f"{h:02}:{m:02}" for h, m in zip(HOURS, MINUTES, strict=True)],
    "seconds": [f"{h}:{m:02}:00" for h, m in zip(HOURS, MINUTES, strict=True)],
    "halves": [
        f"{(h - 1) % 12 + 1}:{m:02} {'ap'[h // 12]}m"
        for h, m in zip(HOURS, MINUTES, strict=True)
    ],
}


@pytest.mark.slow_but_first
@pytest.mark.parametrize("written", TIMES)
def test_times_of_a_day(written):
    assert kind(TIMES[written]) == "time"
    np.testing.assert_array_equal(encode(TIMES[written]), encode(TIMES["objects"]))
    names = fit(TIMES[written]).get_feature_names_out()
    assert "datetime__x_hour_circular_0" in names
    assert "datetime__x_year" not in names


WORDS = ["night", "nurse", "taxi", "driver", "cook", "lead", "head", "train"]
SENTENCES = [" ".join(RNG.choice(WORDS, 3)) + f" {i}" for i in range(N)]
NAMES = ["".join(RNG.choice(list("abcdefghij"), RNG.integers(3, 9))) for _ in range(N)]


@pytest.mark.parametrize(
    "column",
    [
        SENTENCES,
        NAMES,
        ["".join(RNG.choice(list("ACGT"), 30)) for _ in range(N)],
        pd.Categorical(SENTENCES),
        [f"{name}@example.org" for name in NAMES],
    ],
    ids=["sentences", "names", "sequences", "categories", "addresses"],
)
def test_texts(column):
    preprocessor = fit(column)
    assert preprocessor.kind_to_columns_["text"] == ["x"]
    encoded = preprocessor.transform(pd.DataFrame({"x": [*column[:3], None]}))
    assert np.isfinite(encoded).all()
    assert len({tuple(row) for row in encoded}) == 4
    assert preprocessor.get_feature_names_out()[0] == "text__x_text0"


def test_text_says_something_about_a_target():
    """A level for each row, of which the words matter."""
    y = np.array(["nurse" in text for text in SENTENCES]) + 0.0
    frame = pd.DataFrame({"x": SENTENCES})
    model = make_pipeline(make_tabular_preprocessor(), Ridge(0.1))
    assert cross_val_score(model, frame, y).mean() > 0.5


def test_frequent_levels_of_a_text_have_columns_of_their_own():
    column = np.where(np.arange(N) % 3 == 0, "none given", SENTENCES)
    names = fit(column).get_feature_names_out().tolist()
    assert names[0] == "one_hot__x_none given"
    assert "text__x_text0" in names


IDENTIFIERS = {
    "numbered": [f"customer {i}" for i in range(N)],
    "padded": [f"{i:06}" for i in range(N)],
    "numbers and padded ones": [f"{v:06}" for v in range(999_990, 0, -8_333)][:N],
    "with a check digit": [
        f"{i * 87_654_321 % 10**9:09}{'0123456789X'[i % 11]}" for i in range(1, N + 1)
    ],
    "of one length": [f"{i:04}-{'ABCDEFGH'[i % 8]}HVEG" for i in range(N)],
    "UUIDs": objects([uuid.UUID(bytes=RNG.bytes(16)) for _ in range(N)]),
    "categories": pd.Categorical([f"customer {i}" for i in range(N)]),
}


@pytest.mark.parametrize("written", IDENTIFIERS)
def test_identifiers_are_left_out_with_one_warning(written):
    frame = pd.DataFrame({"who": IDENTIFIERS[written], "a": AMOUNTS})
    frame["customer_id"] = RNG.permutation(N)
    preprocessor = make_tabular_preprocessor()
    with pytest.warns(UserWarning, match="left out") as warned:
        encoded = preprocessor.fit_transform(frame)
    assert len(warned) == 1
    assert "['who', 'customer_id'] are left out" in str(warned[0].message)
    assert "pd.to_numeric or pd.to_datetime" in str(warned[0].message)
    assert preprocessor.kind_to_columns_["identifier"] == ["who", "customer_id"]
    expected = make_tabular_preprocessor().fit_transform(frame[["a"]])
    np.testing.assert_array_equal(encoded.toarray(), expected.toarray())
    # They may be missing later.
    np.testing.assert_array_equal(
        preprocessor.transform(frame[["a"]]).toarray(), expected.toarray()
    )
    kept = make_tabular_preprocessor(categorical=["who", "customer_id"]).fit(frame)
    assert not kept.kind_to_columns_["identifier"]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("x", np.arange(N)),
        ("paid", RNG.permutation(N)),
        ("humid", RNG.permutation(N)),
        ("id", AMOUNTS),
        ("id", np.arange(N) % 60),
    ],
)
def test_numbers_that_are_no_identifiers(name, column):
    preprocessor = make_tabular_preprocessor().fit(pd.DataFrame({name: column}))
    assert preprocessor.column_to_kind_ == {name: "numeric"}


@pytest.mark.parametrize(
    "column",
    [
        [
            f"{x:,.2f}" if i % 2 else f"{x:_.2f}".replace(".", ",").replace("_", ".")
            for i, x in enumerate(RNG.permutation(N) * 7.25 + 1e4)
        ],
        [
            f"{x}.{y}%" if x % 2 else f"{x},{y}%"
            for x in range(10, 22)
            for y in range(10)
        ],
    ],
)
def test_amounts_of_mixed_marks_are_no_identifiers(column):
    with pytest.warns(UserWarning, match="'x' is taken for text"):
        assert fit(column).column_to_kind_ == {"x": "text"}


def test_padded_numbers_behind_many_others_are_identifiers():
    """A sample from the head alone would see dates."""
    days = pd.date_range("2001-01-01", periods=1500).strftime("%Y/%m/%d")
    codes = [f"00{i:04}/{i % 90:02}a" for i in range(3500)]
    assert kind([*days, *codes]) == "identifier"


@pytest.mark.parametrize("odd", ["none yet", None])
def test_numbers_of_rows_of_which_one_is_odd(odd):
    column = objects([odd, *map(str, RNG.permutation(400))])
    with pytest.warns(UserWarning, match=r"\['customer_id'\] are left out") as warned:
        make_tabular_preprocessor().fit(pd.DataFrame({"customer_id": column}))
    assert len(warned) == 1


@pytest.mark.parametrize("n_samples", [1, 2, 3, 5])
def test_few_rows(n_samples):
    frame = pd.DataFrame(
        {
            "number": AMOUNTS,
            "string": AMOUNTS.astype(str),
            "day": DAYS.astype(str),
            "text": SENTENCES,
            "id": IDENTIFIERS["numbered"],
            "none": [None] * N,
        }
    )[:n_samples]
    preprocessor = make_tabular_preprocessor()
    encoded = preprocessor.fit_transform(frame).toarray()
    assert np.isfinite(encoded).all()
    np.testing.assert_allclose(
        preprocessor.transform(frame[:1]).toarray(), encoded[:1], rtol=1e-6
    )


def test_many_titles():
    titles = [f"{a} {b} {i}" for a in WORDS for b in WORDS for i in range(80)]
    encoded = make_tabular_preprocessor().fit_transform(pd.DataFrame({"title": titles}))
    assert encoded.shape == (len(titles), 30)


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "a": AMOUNTS,
            "b": RNG.choice(list("xyz"), N),
            "t": DAYS,
            "w": SENTENCES,
            "d": pd.to_timedelta(SECONDS, unit="s"),
        }
    )


NOT_STRINGS = {
    "whole numbers": [1, 0, 4, 2, 3],
    "mixed": ["a", 1, 2.5, None, ("t", 1)],
    "dates": list(pd.date_range("2020", periods=5)),
    "tuples": [("a", i) for i in range(5)],
    "numbers and strings that look alike": [1, "1", 2, "2", 3],
}


@pytest.mark.slow_but_first
@pytest.mark.parametrize("kind_of_names", NOT_STRINGS)
def test_names_that_are_not_strings(kind_of_names, frame):
    names = NOT_STRINGS[kind_of_names]
    expected = make_tabular_preprocessor().fit_transform(frame).toarray()
    renamed = frame.copy()
    renamed.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    preprocessor = make_tabular_preprocessor()
    encoded = preprocessor.fit_transform(renamed).toarray()
    np.testing.assert_array_equal(encoded, expected)
    assert preprocessor.kind_to_columns_["text"] == [names[3]]
    features = preprocessor.get_feature_names_out()
    assert len(set(features)) == len(features) == encoded.shape[1]
    # By name, in another order and beside others.
    other = renamed.iloc[:, ::-1].copy()
    other.insert(2, "another", 1)
    np.testing.assert_array_equal(preprocessor.transform(other).toarray(), expected)
    with pytest.raises(ValueError, match="columns are missing"):
        preprocessor.transform(renamed.iloc[:, 1:].assign(another=1))
    explicit = make_tabular_preprocessor(categorical=[names[0]]).fit(renamed)
    assert explicit.kind_to_columns_["categorical"] == [names[0], names[1]]


def test_readable_names_of_multi_index_and_dates():
    columns = pd.MultiIndex.from_product([["rain", "sun"], [2020, 2021]])
    wide = pd.DataFrame(RNG.normal(size=(9, 4)), columns=columns)
    names = make_tabular_preprocessor().fit(wide).get_feature_names_out().tolist()
    assert names[:2] == ["scaled__rain_2020", "scaled__rain_2021"]
    wide.columns = pd.date_range("2020", periods=4)
    names = make_tabular_preprocessor().fit(wide).get_feature_names_out().tolist()
    assert names[0] == "scaled__2020-01-01"
    assert not hasattr(make_tabular_preprocessor().fit(wide), "feature_names_in_")


def test_columns_without_header():
    """What read_csv(header=None) leaves when the targets are dropped."""
    frame = pd.DataFrame({1: AMOUNTS, 0: RNG.choice(list("xyz"), N)})
    preprocessor = make_tabular_preprocessor().fit(frame)
    assert preprocessor.column_to_kind_ == {1: "numeric", 0: "categorical"}


def test_arrays_and_frames_do_not_mix(frame):
    preprocessor = make_tabular_preprocessor().fit(frame[["a", "b"]])
    with pytest.raises(ValueError, match=r"fit saw the columns \['a', 'b'\]"):
        preprocessor.transform(frame[["a", "b"]].to_numpy())
    preprocessor.fit(frame[["a", "b"]].to_numpy())
    assert preprocessor.column_to_kind_ == {0: "numeric", 1: "categorical"}
    with pytest.warns(UserWarning, match="taken by their position"):
        preprocessor.transform(frame[["a", "b"]])
    with pytest.raises(ValueError, match=r"X has 1 features, .* expecting 2 features"):
        preprocessor.transform(frame[["a"]].to_numpy())
    with pytest.raises(ValueError, match=r"More than one column .* \['a'\]"):
        preprocessor.fit(frame[["a", "a", "b"]])


CONTAINERS = {
    "polars": lambda polars, pyarrow, frame: polars.from_pandas(frame),
    "lazy": lambda polars, pyarrow, frame: polars.from_pandas(frame).lazy(),
    "pyarrow": lambda polars, pyarrow, frame: pyarrow.Table.from_pandas(frame),
    "Arrow types": lambda polars, pyarrow, frame: frame.convert_dtypes(
        dtype_backend="pyarrow"
    ),
    "nullable": lambda polars, pyarrow, frame: frame.convert_dtypes(),
    "objects": lambda polars, pyarrow, frame: frame.astype(object),
    "categories": lambda polars, pyarrow, frame: frame.astype({"b": "category"}),
    "further columns in another order": lambda polars, pyarrow, frame: frame.assign(
        z=1
    )[["z", "d", "w", "t", "b", "a"]],
}


@pytest.mark.slow_but_first
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_same_bits_from_every_container(container, frame):
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    frame.loc[::9, "a"] = None
    frame.loc[::8, "t"] = None
    preprocessor = make_tabular_preprocessor().fit(frame)
    expected = preprocessor.transform(frame).toarray()
    other = CONTAINERS[container](polars, pyarrow, frame)
    np.testing.assert_array_equal(preprocessor.transform(other).toarray(), expected)
    if "further" not in container:
        fitted_on_it = make_tabular_preprocessor().fit_transform(other)
        np.testing.assert_array_equal(fitted_on_it.toarray(), expected)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("sparse_output", [True, False])
def test_frames_out(library, sparse_output, frame):
    other = pytest.importorskip(library)
    frame = frame.set_index(pd.Index(range(100, 100 + N)))
    preprocessor = make_tabular_preprocessor(sparse=sparse_output).fit(frame)
    expected = preprocessor.transform(frame)
    expected = expected.toarray() if sparse_output else expected
    with config_context(transform_output=library):
        configured = clone(preprocessor).fit_transform(frame)
    for out in (
        configured,
        preprocessor.set_output(transform=library).transform(frame),
        clone(preprocessor).set_output(transform=library).fit(frame).transform(frame),
    ):
        assert isinstance(out, other.DataFrame)
        assert list(out.columns) == preprocessor.get_feature_names_out().tolist()
        np.testing.assert_array_equal(out.to_numpy(), expected)
        if library == "pandas":
            assert out.index.equals(frame.index)
            assert set(out.dtypes) == {np.dtype("float32")}


def test_sparse_is_always_sparse():
    encoded = make_tabular_preprocessor().fit_transform(AMOUNTS[:20, None])
    assert sparse.issparse(encoded)
    assert encoded.format == "csr"
    assert encoded.dtype == np.float32


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("a", [np.inf] * N, "'a' contains infinity"),
        ("a", [1e39] * N, "'a' holds 1e\\+39, a value too large"),
        ("a", ["12", *["abc"] * (N - 1)], "'a' was numeric in fit, but .* 'abc'"),
        ("a", [[1.0, 2.0]] * N, "'a' holds list in its cells"),
        ("b", [["x"]] * N, "'b' holds list in its cells"),
        ("b", [{"x": 1}] * N, "'b' holds dict in its cells"),
        ("t", ["yesterday"] * N, "'t' was datetime in fit, but .* 'yesterday'"),
        ("t", [5.0] * N, "'t' was datetime in fit, but .* 5.0"),
        ("w", [["x"]] * N, "'w' holds list in its cells"),
        ("d", ["long"] * N, "'d' was duration in fit, but .* 'long'"),
    ],
)
def test_errors_name_the_column(library, column, values, message, frame):
    preprocessor = make_tabular_preprocessor().fit(frame)
    wrong = frame.drop(columns=column)
    wrong[column] = objects(values) if isinstance(values[0], str) else values
    if library == "polars":
        polars = pytest.importorskip("polars")
        values = polars.Series(column, values)
        wrong = polars.from_pandas(frame.drop(columns=column)).with_columns(values)
    with pytest.raises(ValueError, match=f"Column {message}"):
        preprocessor.transform(wrong)
    if "in fit" not in message:
        with pytest.raises(ValueError, match=f"Column {message}"):
            make_tabular_preprocessor().fit(wrong)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (pd.Series([1.0, 2.0]), ValueError, "Expected 2D array, got 1D Series"),
        (pd.Series({"a": 1}), ValueError, r"A single row is X.iloc\[\[0\]\]"),
        ({"a": 1}, TypeError, r"got a dict. Pass pd.DataFrame\(\[X\]\)"),
        ([{"a": 1}], TypeError, r"got a list of dicts. Pass pd.DataFrame\(X\)"),
        (np.arange(3.0), ValueError, "Expected 2D array, got 1D ndarray"),
        ([1.0, 2.0], ValueError, "Expected 2D array"),
        (sparse.csr_matrix(np.eye(3)), TypeError, "Sparse data .* X.toarray()"),
        ("table.csv", TypeError, "must be an array or a frame .* got str"),
        (pd.DataFrame({"a": []}), ValueError, "no rows"),
        (pd.DataFrame(index=[1, 2]), ValueError, "no columns"),
        (pd.DataFrame({"z": [1j, 2j]}), ValueError, "Column 'z' holds complex"),
    ],
)
def test_what_is_no_table(X, error, message):
    with pytest.raises(error, match=message):
        make_tabular_preprocessor().fit(X)


def test_a_column_in_other_letters(frame):
    preprocessor = make_tabular_preprocessor().fit(frame)
    renamed = frame.rename(columns={"a": "A"}).drop(columns="b")
    message = (
        r"missing: \['a', 'b'\]. fit saw them, .* it has \['A'\], in other letters"
    )
    with pytest.raises(ValueError, match=message):
        preprocessor.transform(renamed)


def test_a_failed_fit_changes_nothing(frame):
    preprocessor = make_tabular_preprocessor().fit(frame)
    expected = preprocessor.transform(frame).toarray()
    with pytest.raises(ValueError, match="'b' holds list"):
        preprocessor.fit(frame.assign(b=[[1]] * N))
    np.testing.assert_array_equal(preprocessor.transform(frame).toarray(), expected)


def test_rows_of_a_list():
    preprocessor = make_tabular_preprocessor(min_frequency=None)
    encoded = preprocessor.fit_transform([[1, "a"], [2, "b"], [3.5, "a"]])
    assert preprocessor.column_to_kind_ == {0: "numeric", 1: "categorical"}
    assert encoded.shape == (3, 3)


def test_wild_values_stay_within_bounds(frame):
    preprocessor = make_tabular_preprocessor(sparse=False).fit(frame)
    highest = preprocessor.transform(frame).max(axis=0)
    wild = frame[:2].assign(
        a=[3e38, -3e38], t=pd.Timestamp("2200-01-01"), d=pd.Timedelta(days=10**4)
    )
    encoded = preprocessor.transform(wild)
    assert np.isfinite(encoded).all()
    assert (encoded <= highest + 3).all()


@pytest.mark.parametrize("constant", [1e30, -999.0, 0.0, "1e30", "x"])
def test_constant_columns(constant, frame):
    encoded = make_tabular_preprocessor().fit_transform(frame.assign(a=constant))
    assert np.abs(encoded.toarray()).max() < 1e4


def test_clone_and_pickle_of_every_kind(frame):
    preprocessor = make_tabular_preprocessor().fit(frame)
    expected = preprocessor.transform(frame).toarray()
    again = pickle.loads(pickle.dumps(preprocessor))
    np.testing.assert_array_equal(again.transform(frame).toarray(), expected)
    assert again.column_to_kind_ == preprocessor.column_to_kind_
    np.testing.assert_array_equal(
        clone(preprocessor).fit_transform(frame).toarray(), expected
    )


def test_plain_tables_load_no_skrub():
    code = (
        "import sys, pandas as pd;"
        "from sklearn_mmoe.preprocessing import make_tabular_preprocessor as make;"
        "frame = pd.DataFrame({'a': range(50), 'b': list('xyxyz') * 10});"
        "make().fit_transform(frame); print(*{'skrub', 'keras'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


# Numbers that are equal, and no equal texts.
@example(
    [*[None] * 7, *map(float, range(7)), 0.5, 0.25, 0.125, -1.0, 0, "00"],
)
@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.floats(width=32, allow_nan=True, allow_infinity=False),
            st.integers(-(10**9), 10**9),
            # Numbers that float32 does not hold are an error.
            st.text(max_size=6).filter(lambda text: "e" not in text.lower()),
            st.dates(datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)),
            st.booleans(),
            st.decimals(-(10**6), 10**6, places=2),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_any_column_is_encoded_without_a_word(values):
    frame = pd.DataFrame({"x": objects(values)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "The columns .* are left out")
        warnings.filterwarnings("ignore", "Column 'x' is")  # of odd values
        preprocessor = make_tabular_preprocessor()
        encoded = preprocessor.fit_transform(frame).toarray()
        assert np.isfinite(encoded).all()
        assert np.abs(encoded).max(initial=0) <= max(np.sqrt(len(values)), 1) + 1e-5
        again = preprocessor.transform(frame[::-1]).toarray()[::-1]
    np.testing.assert_array_equal(again, encoded)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=2, max_size=100)
)
def test_numbers_in_strings_are_those_numbers(values):
    np.testing.assert_array_equal(encode([str(v) for v in values]), encode(values))


class TestDaysAndMonths:
    """Which comes first is told by the values, or said, and never guessed by a few."""

    @pytest.mark.parametrize(
        ("sep", "form", "day_varies"),
        [("/", "%m/%d/%Y", True), (".", "%d.%m.%Y", False)],
    )
    def test_in_doubt_there_is_a_warning(self, sep, form, day_varies):
        firsts = [sep.join(("01", f"{k % 12 + 1:02}", "2022")) for k in range(60)]
        frame = pd.DataFrame({"billed": firsts})
        with pytest.warns(
            UserWarning, match=r"'billed' holds dates such as '01.02"
        ) as w:
            names = list(make_tabular_preprocessor().fit(frame).get_feature_names_out())
        assert repr(form) in str(w[0].message)
        assert any("billed_day" in name for name in names) == day_varies
        assert any("billed_month" in name for name in names) == (not day_varies)

    def test_in_doubt_with_odd_values_too(self):
        firsts = [f"01/{k % 12 + 1:02}/2022" for k in range(200)]
        frame = pd.DataFrame({"billed": ["soon", *firsts]})
        with (
            pytest.warns(UserWarning, match="cannot be read as a date"),
            pytest.warns(UserWarning, match="tells the day"),
        ):
            make_tabular_preprocessor().fit(frame)

    def test_no_warning_where_a_value_tells(self):
        for last in ("25/03/2024", "03/25/2024", "2024-03-25"):
            dates = [f"0{k % 9 + 1}/0{k % 9 + 1}/2024" for k in range(60)]
            make_tabular_preprocessor().fit(pd.DataFrame({"x": [*dates, last]}))
        make_tabular_preprocessor().fit(
            pd.DataFrame({"x": [f"2024-0{k % 9 + 1}-02" for k in range(60)]})
        )

    def test_strings_after_dates_are_read_alike_alone_and_among_others(self):
        days = pd.date_range("2024-01-01", periods=60)
        preprocessor = make_tabular_preprocessor().fit(
            pd.DataFrame({"joined": days, "n": np.arange(60.0)})
        )

        def encoded(*dates):
            return preprocessor.transform(
                pd.DataFrame({"joined": dates, "n": [1.0] * len(dates)})
            ).toarray()

        expected = preprocessor.transform(
            pd.DataFrame({"joined": pd.to_datetime(["2024-02-21"]), "n": [1.0]})
        ).toarray()
        for text in ("2024-02-21", "21/02/2024", "02/21/2024", "21.02.2024"):
            np.testing.assert_array_equal(encoded(text), expected)
        for text in ("05/03/2024", "05.03.2024"):
            with pytest.raises(ValueError, match="do not tell the day from the month"):
                encoded(text)
        encoded("05/05/2024")  # the same either way

    def test_missing_dates_make_no_frequent_one(self):
        days = pd.Series(pd.date_range("2024-01-01", periods=400, freq="37h"))
        days[::10] = pd.NaT
        names = (
            make_tabular_preprocessor()
            .fit(pd.DataFrame({"joined": days}))
            .get_feature_names_out()
        )
        assert not [name for name in names if "_is_" in name]
        assert "datetime__joined_missing" in names
