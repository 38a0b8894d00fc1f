//! Dates by counting days, in place of a library's calendar.

/// Year, month, day and, where there is a time, seconds of the day and the rest.
struct Moment<'a> {
    days: i64,
    seconds: i64,
    tail: Option<&'a str>,
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn length(year: i64, month: usize) -> i64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_before(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past / 4 - past / 100 + past / 400
}

fn read(text: &str) -> Option<Moment<'_>> {
    let digits = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let month = usize::try_from(month).ok()?;
    let before: i64 = (1..month).map(|one| length(year, one)).sum();
    let days = days_before(year) + before + day - 1;
    if text.len() == 10 {
        return Some(Moment { days, seconds: 0, tail: None });
    }
    let seconds = digits(11, 13)? * 3600 + digits(14, 16)? * 60 + digits(17, 19)?;
    Some(Moment { days, seconds, tail: Some(text.get(19..)?) })
}

/// Year, month, day, and the day of the year.
fn civil(days: i64) -> Option<(i64, usize, i64, i64)> {
    let mut year = days / 366 + 1;
    while days_before(year + 1) <= days {
        year += 1;
    }
    let of_year = days - days_before(year);
    let (mut month, mut rest) = (1, of_year);
    while rest >= length(year, month) {
        rest -= length(year, month);
        month += 1;
    }
    (days >= 0 && year <= 9999).then_some((year, month, rest + 1, of_year + 1))
}

/// `date_add`.
pub(super) fn add(text: &str, days: i64, seconds: Option<i64>) -> Option<String> {
    let moment = read(text)?;
    if moment.tail.is_none() && seconds.unwrap_or(0) != 0 {
        return None;
    }
    let all = moment.seconds + seconds.unwrap_or(0);
    let (year, month, day, _) = civil(moment.days + days + all.div_euclid(86_400))?;
    let date = format!("{year:04}-{month:02}-{day:02}");
    let Some(tail) = moment.tail else { return Some(date) };
    let of_day = all.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}{tail}"))
}

/// `date_format`.
pub(super) fn format(text: &str, pattern: &str) -> Option<String> {
    let moment = read(text)?;
    let (year, month, day, of_year) = civil(moment.days)?;
    let seconds = moment.seconds;
    let known = [
        ("%Y", format!("{year:04}")),
        ("%m", format!("{month:02}")),
        ("%d", format!("{day:02}")),
        ("%H", format!("{:02}", seconds / 3600)),
        ("%M", format!("{:02}", seconds / 60 % 60)),
        ("%S", format!("{:02}", seconds % 60)),
        ("%j", format!("{of_year:03}")),
    ];
    Some(known.iter().fold(pattern.to_owned(), |text, (sign, value)| text.replace(sign, value)))
}
