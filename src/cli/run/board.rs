//! How the steps of a run stand: in words for a line of its own, and as the
//! rows that a terminal shows.

use std::time::{Duration, Instant};

use super::plan::{Step, Work};
use crate::cli::paint::{Paint, painted};
use crate::cli::text::{columns, cut, escaped};

/// The most columns of a name in front of the rows' words.
const MAX_TITLE: usize = 30;

/// How a step, or one instance of it, stands.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Until what it needs is done.
    Waiting,
    /// Its process was started.
    Running {
        /// The items of its matrix in words; empty without one.
        items: String,
        /// When it was started.
        since: Instant,
    },
    /// Its process has ended.
    Ended {
        /// How, in words.
        words: String,
        /// Whether that is success.
        good: bool,
        /// How long it took.
        took: Duration,
    },
    /// It could not be started; an error tells why.
    Failed,
    /// It isn't run, and why.
    Skipped(String),
    /// The run ended before its turn.
    NotStarted,
}

impl State {
    /// What is said of it when it comes to be so; nothing of waiting.
    pub(super) fn said(&self) -> Option<String> {
        Some(match self {
            Self::Waiting => return None,
            Self::Running { items, .. } => format!("started{}", in_brackets(items)),
            Self::Ended { words, took, .. } => format!("{words} after {:.1} s", took.as_secs_f32()),
            Self::Failed => "failed".to_owned(),
            Self::Skipped(why) => format!("skipped: {why}"),
            Self::NotStarted => "not started".to_owned(),
        })
    }

    fn is_over(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Running { .. })
    }

    fn paint(&self) -> Paint {
        match self {
            Self::Running { .. } => Paint::Busy,
            Self::Ended { good: true, .. } => Paint::Good,
            Self::Ended { .. } | Self::Failed => Paint::Bad,
            Self::Waiting | Self::Skipped(_) | Self::NotStarted => Paint::Quiet,
        }
    }
}

fn in_brackets(items: &str) -> String {
    if items.is_empty() { String::new() } else { format!(" ({items})") }
}

/// All steps of a run, each instance for itself.
#[derive(Debug, Default)]
pub(super) struct Board(Vec<Line>);

#[derive(Debug)]
struct Line {
    step: String,
    title: String,
    needs: Vec<String>,
    state: State,
}

impl Board {
    /// All steps, before the first starts.
    pub(super) fn new(steps: &[Step]) -> Self {
        let mut lines = Vec::new();
        for step in steps {
            let titles = match &step.work {
                Work::Run(jobs) => jobs.iter().map(|job| job.title.clone()).collect(),
                Work::Skip(_) => vec![step.name.clone()],
            };
            lines.extend(titles.into_iter().map(|title| Line {
                step: step.name.clone(),
                title,
                needs: step.needs.clone(),
                state: State::Waiting,
            }));
        }
        Self(lines)
    }

    /// Takes in how an instance stands, or all of a step.
    pub(super) fn set(&mut self, name: &str, state: &State) {
        for line in self.0.iter_mut().filter(|line| line.title == name || line.step == name) {
            line.state = state.clone();
        }
    }

    /// The rows of a terminal: at most `room`, each of at most `width` columns.
    pub(super) fn rows(
        &self,
        now: Instant,
        width: usize,
        room: usize,
        colours: bool,
    ) -> Vec<String> {
        let shown = self.chosen(room);
        let names = shown.iter().map(|line| columns(&escaped(&line.title)));
        let widest = names.max().unwrap_or(0).min(MAX_TITLE);
        let mut rows: Vec<String> =
            shown.iter().map(|line| self.row(line, now, width, widest, colours)).collect();
        if shown.len() < self.0.len() {
            rows.push(cut(self.rest(&shown), width));
        }
        rows
    }

    /// The lines that there is room for, in order: the ones that run come first,
    /// then those that failed, then those that wait.
    fn chosen(&self, room: usize) -> Vec<&Line> {
        let mut lines: Vec<(usize, &Line)> = self.0.iter().enumerate().collect();
        if lines.len() > room {
            lines.sort_by_key(|(place, line)| {
                let rank = match line.state.paint() {
                    Paint::Busy => 0,
                    Paint::Bad => 1,
                    _ if !line.state.is_over() => 2,
                    _ => 3,
                };
                (rank, *place)
            });
            // One row tells of the others.
            lines.truncate(room.saturating_sub(1));
            lines.sort_by_key(|(place, _)| *place);
        }
        lines.into_iter().map(|(_, line)| line).collect()
    }

    fn rest(&self, shown: &[&Line]) -> String {
        let hidden: Vec<&Line> = self
            .0
            .iter()
            .filter(|line| !shown.iter().any(|one| std::ptr::eq(*one, *line)))
            .collect();
        let count =
            |wanted: fn(&State) -> bool| hidden.iter().filter(|one| wanted(&one.state)).count();
        let (waiting, done) = (count(|one| matches!(one, State::Waiting)), count(State::is_over));
        let running = hidden.len() - waiting - done;
        format!("… and {} more: {running} running, {waiting} waiting, {done} done", hidden.len())
    }

    fn row(&self, line: &Line, now: Instant, width: usize, widest: usize, colours: bool) -> String {
        let title = cut(escaped(&line.title).into_owned(), widest.min(width));
        let space = " ".repeat(widest.saturating_sub(columns(&title)));
        let words = match &line.state {
            State::Waiting => self.waiting(line),
            State::Running { items, since } => {
                format!("running for {}{}", span(now.duration_since(*since)), in_brackets(items))
            }
            state => state.said().unwrap_or_default(),
        };
        let room = width.saturating_sub(widest + 2);
        let words = cut(escaped(&words).into_owned(), room);
        format!("{title}{space}  {}", painted(&words, line.state.paint(), colours))
    }

    fn waiting(&self, line: &Line) -> String {
        let open = |need: &&String| {
            self.0.iter().any(|other| other.step == **need && !other.state.is_over())
        };
        let needs: Vec<&str> = line.needs.iter().filter(open).map(String::as_str).collect();
        if needs.is_empty() {
            "waiting".to_owned()
        } else {
            format!("waiting for {}", needs.join(", "))
        }
    }
}

/// A time that goes on, to the second.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(names: &[(&str, &[&str])]) -> Board {
        let line = |(name, needs): &(&str, &[&str])| Line {
            step: (*name).to_owned(),
            title: (*name).to_owned(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            state: State::Waiting,
        };
        Board(names.iter().map(line).collect())
    }

    fn ended(good: bool) -> State {
        let words = if good { "succeeded" } else { "failed with exit status 3" };
        State::Ended { words: words.into(), good, took: Duration::from_millis(340) }
    }

    #[test]
    fn a_row_tells_how_a_step_stands() {
        let mut board =
            board(&[("a", &[]), ("second", &["a"]), ("c", &["a", "second"]), ("d", &[])]);
        let now = Instant::now();
        let since = now.checked_sub(Duration::from_secs(75)).unwrap();
        board.set("a", &ended(true));
        board.set("second", &State::Running { items: "size = 3".into(), since });
        board.set("d", &State::Skipped("`params.x` is false".into()));
        assert_eq!(
            board.rows(now, 80, 10, false),
            [
                "a       succeeded after 0.3 s",
                "second  running for 1 min 15 s (size = 3)",
                "c       waiting for second",
                "d       skipped: `params.x` is false",
            ]
        );
        assert!(board.rows(now, 20, 10, false).iter().all(|row| columns(row) <= 20));
    }

    #[test]
    fn where_there_is_no_room_for_all_those_that_run_are_shown() {
        let names: Vec<String> = (0..30).map(|number| format!("s{number}")).collect();
        let lines: Vec<(&str, &[&str])> =
            names.iter().map(|name| (name.as_str(), &[][..])).collect();
        let mut board = board(&lines);
        let now = Instant::now();
        names.iter().take(20).for_each(|name| board.set(name, &ended(true)));
        board.set("s3", &ended(false));
        board.set("s25", &State::Running { items: String::new(), since: now });
        let rows = board.rows(now, 80, 4, false);
        assert_eq!(
            rows,
            [
                "s3   failed with exit status 3 after 0.3 s",
                "s20  waiting",
                "s25  running for 0 s",
                "… and 27 more: 0 running, 8 waiting, 19 done",
            ]
        );
        assert_eq!(board.rows(now, 80, 0, false).len(), 1);
    }
}
