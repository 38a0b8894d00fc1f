//! What all lists take: how much is wanted, from where on, and of which time.

use jiff::Timestamp;

use super::App;
use super::error::{CliError, Expected};
use crate::yaml::fields;

/// How much of a list is wanted, and from where on.
#[derive(clap::Args)]
pub(crate) struct Paging {
    /// The most entries to print; 0: all.
    #[arg(long, value_name = "N", default_value = "100", allow_negative_numbers = true, value_parser = limit)]
    limit: usize,
    /// Goes on where an earlier answer ended.
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
}

impl Paging {
    /// Asks for page after page of at most `most` entries, empty ones too: only a
    /// missing token is the end. `ask` takes a page's size and token; the token
    /// to go on with is answered too, empty at the end.
    pub(crate) async fn pages<T>(
        &self,
        most: usize,
        ask: impl AsyncFn(i32, String) -> Result<(Vec<T>, String), CliError>,
    ) -> Result<(Vec<T>, String), CliError> {
        let wanted = if self.limit == 0 { usize::MAX } else { self.limit };
        let (mut entries, mut token) = (Vec::new(), self.page_token.clone().unwrap_or_default());
        loop {
            let size = i32::try_from(most.min(wanted - entries.len())).unwrap_or(0);
            let (page, next) = ask(size, token).await?;
            entries.extend(page);
            token = next;
            if token.is_empty() || entries.len() >= wanted {
                return Ok((entries, token));
            }
        }
    }
}

/// Says beside a table that it isn't all.
pub(crate) fn note_more(app: &App, next_token: &str) {
    if !next_token.is_empty() {
        app.printer.note("there are more: --limit 0 prints all");
    }
}

fn limit(text: &str) -> Result<usize, Expected> {
    text.parse().map_err(|_| Expected("a limit is a number from 0".to_owned()))
}

/// A time of the command line, or how long ago it was.
pub(crate) fn moment(text: &str) -> Result<prost_types::Timestamp, Expected> {
    let ago = fields::parse_duration(text).and_then(|ago| Timestamp::now().checked_sub(ago).ok());
    let time = ago.or_else(|| text.parse().ok()).ok_or_else(|| {
        Expected("a time is RFC 3339, such as 2026-01-31T08:00:00Z, or as long ago as 24h".into())
    })?;
    Ok(prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
}

/// A field of a filter; empty: any.
pub(crate) fn named(given: &Option<String>) -> String {
    given.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pages of a list: one entry, an empty page, two entries.
    async fn page(size: i32, token: String) -> Result<(Vec<()>, String), CliError> {
        let (count, next) = match token.as_str() {
            "" => (1, "b"),
            "b" => (0, "c"),
            _ => (2, ""),
        };
        assert!(size > 0);
        Ok((vec![(); count.min(size as usize)], next.into()))
    }

    #[tokio::test]
    async fn an_empty_page_is_not_the_last() {
        let all = Paging { limit: 0, page_token: None }.pages(500, page).await.unwrap();
        assert_eq!((all.0.len(), all.1.as_str()), (3, ""));
        let one = Paging { limit: 1, page_token: None }.pages(500, page).await.unwrap();
        assert_eq!((one.0.len(), one.1.as_str()), (1, "b"), "the token goes on");
        let rest =
            Paging { limit: 9, page_token: Some("c".into()) }.pages(500, page).await.unwrap();
        assert_eq!((rest.0.len(), rest.1.as_str()), (2, ""), "from where it is told");
    }

    #[test]
    fn a_time_is_one_or_how_long_ago_it_was() {
        assert_eq!(moment("1970-01-01T00:01:00Z").unwrap().seconds, 60);
        assert_eq!(moment("1970-01-01T01:00:00+01:00").unwrap().seconds, 0);
        let now = Timestamp::now().as_second();
        let ago = now - moment("24h").unwrap().seconds;
        assert!((86_399..=86_401).contains(&ago), "{ago}");
        assert!(moment("yesterday").is_err());
    }
}
