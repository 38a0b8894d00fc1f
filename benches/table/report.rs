//! The table: one row a promise.

use std::fmt;

use comfy_table::{ContentArrangement, Table as Grid};

/// What a row must reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
}

impl Goal {
    /// Met by the median, and within a tenth by the worst round.
    fn is_met(self, rounds: &[f64]) -> bool {
        let median = median(rounds);
        match self {
            Self::AtLeast(goal) => median >= goal && least(rounds) >= 0.9 * goal,
            Self::AtMost(goal) => median <= goal && most(rounds) <= 1.1 * goal,
        }
    }
}

/// One measurement of one side.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// What is compared: a rate, or a time.
    pub(crate) value: f64,
    /// Microseconds on a processor of the server for each call, where told.
    pub(crate) cpu_us: Option<f64>,
}

/// What the numbers of a row are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    PerSecond,
    Milliseconds,
    MebiBytes,
    KibiBytes,
    MegabytesPerSecond,
    Times,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::MebiBytes => format!("{value:.1} MiB"),
            Self::KibiBytes => format!("{value:.2} KiB"),
            Self::MegabytesPerSecond => format!("{value:.0} MB/s"),
            Self::Times => format!("{value:.0}"),
        }
    }
}

/// All rows so far.
pub(crate) struct Table {
    rows: Vec<[String; 6]>,
    met: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new(), met: 0 }
    }

    /// Ours beside a baseline, round by round.
    pub(crate) fn compare(
        &mut self,
        name: &str,
        against: &str,
        unit: Unit,
        goal: Goal,
        rounds: &[(Sample, Sample)],
    ) {
        let ratios: Vec<f64> = rounds.iter().map(|(ours, base)| ours.value / base.value).collect();
        let side = |pick: fn(&(Sample, Sample)) -> Sample| {
            let values: Vec<f64> = rounds.iter().map(|round| pick(round).value).collect();
            let cpu: Vec<f64> = rounds.iter().filter_map(|round| pick(round).cpu_us).collect();
            let cpu = if cpu.is_empty() {
                String::new()
            } else {
                format!("\n{:.1} µs CPU", median(&cpu))
            };
            format!("{}{cpu}", unit.write(median(&values)))
        };
        let (ours, base) = (side(|round| round.0), side(|round| round.1));
        let ratio =
            format!("{:.2}\n({:.2} to {:.2})", median(&ratios), least(&ratios), most(&ratios));
        let goal_text = match goal {
            Goal::AtLeast(goal) => format!("≥ {goal}"),
            Goal::AtMost(goal) => format!("≤ {goal}"),
        };
        self.add([name, &ours, against, &base, &ratio, &goal_text], goal.is_met(&ratios));
    }

    /// A number by itself, round by round.
    pub(crate) fn number(&mut self, name: &str, unit: Unit, goal: Goal, rounds: &[f64]) {
        let ours = format!(
            "{}\n({} to {})",
            unit.write(median(rounds)),
            unit.write(least(rounds)),
            unit.write(most(rounds))
        );
        let goal_text = match goal {
            Goal::AtLeast(goal) => format!("≥ {}", unit.write(goal)),
            Goal::AtMost(goal) => format!("≤ {}", unit.write(goal)),
        };
        self.add([name, &ours, "–", "", "", &goal_text], goal.is_met(rounds));
    }

    fn add(&mut self, cells: [&str; 6], met: bool) {
        self.met += usize::from(met);
        let [name, ours, against, base, ratio, goal] = cells.map(str::to_owned);
        eprintln!(
            "{}",
            [&name, &ours, &base, &ratio, &goal].map(|cell| cell.replace('\n', " ")).join(" | ")
        );
        let base = if base.is_empty() { against } else { format!("{against}\n{base}") };
        let met = if met { "met" } else { "NOT MET" }.to_owned();
        self.rows.push([name, ours, base, ratio, goal, met]);
    }
}

impl Table {
    /// As docs/performance.md has it.
    pub(crate) fn markdown(&self) -> String {
        let mut text = "| what | ours | against | ratio | goal | |\n".to_owned();
        text += "| --- | --- | --- | --- | --- | --- |\n";
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(|cell| cell.replace('\n', "<br>")).collect();
            text += &format!("| {} |\n", cells.join(" | "));
        }
        format!("{text}\n{}", self.sum())
    }

    fn sum(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        format!("{} of {} met, on {cores} cores", self.met, self.rows.len())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut grid = Grid::new();
        grid.load_preset(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        grid.set_content_arrangement(ContentArrangement::Disabled);
        grid.set_header(["what", "ours", "against", "ratio", "goal", ""]);
        for row in &self.rows {
            grid.add_row(row);
        }
        writeln!(f, "{grid}")?;
        f.write_str(&self.sum())
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
