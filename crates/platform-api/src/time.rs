//! Time: milliseconds inside, RFC 3339 outside.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::Serializer;

/// `2026-02-23T10:15:30Z`.
pub fn rfc3339(millis: i64) -> String {
    Timestamp::from_millisecond(millis).unwrap_or_default().to_string()
}

/// For `#[serde(serialize_with = "time::serialize")]`.
pub fn serialize<S: Serializer>(millis: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*millis))
}

/// For a time that may not be there; published clients break on an empty text, so it is to be left out.
pub fn serialize_some<S: Serializer>(millis: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match millis {
        Some(millis) => serialize(millis, serializer),
        None => serializer.serialize_none(),
    }
}

/// The month of a time in UTC: its first millisecond, and the next month's.
pub fn month_of(millis: i64) -> (i64, i64) {
    let date = Timestamp::from_millisecond(millis).unwrap_or_default().to_zoned(TimeZone::UTC).date();
    let first = date.first_of_month();
    let next = first.saturating_add(Span::new().months(1));
    let start =
        |date: jiff::civil::Date| date.to_zoned(TimeZone::UTC).map_or(0, |day| day.timestamp().as_millisecond());
    (start(first), start(next))
}

/// `2026-02-23`, of a day since 1970.
pub fn day(days: i64) -> String {
    rfc3339(days * 86_400_000).chars().take(10).collect()
}

/// `30m`, `4h`, `1d`, `90s` in milliseconds.
pub fn duration(text: &str) -> Option<i64> {
    let (count, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let count: i64 = count.parse().ok().filter(|count| *count > 0)?;
    count.checked_mul(unit).filter(|millis| *millis <= 366 * 86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_documents_write_them() {
        assert_eq!(rfc3339(1_771_841_730_000), "2026-02-23T10:15:30Z");
    }

    #[test]
    fn a_month_begins_and_ends_where_the_calendar_says() {
        let (start, end) = month_of(1_771_841_730_000);
        assert_eq!([rfc3339(start), rfc3339(end)], ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]);
        let (_, end) = month_of(end - 1 + 306 * 86_400_000);
        assert_eq!(rfc3339(end), "2027-01-01T00:00:00Z");
        assert_eq!(day(20_507), "2026-02-23");
    }

    #[test]
    fn durations_are_a_count_and_a_unit() {
        assert_eq!(
            [duration("30m"), duration("4h"), duration("1d")],
            [Some(1_800_000), Some(14_400_000), Some(86_400_000)]
        );
        for bad in ["", "h", "0m", "-1h", "4", "4 hours", "9999d", "é"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
