//! What many policies cost, beside one.

use std::fmt::Write as _;

use super::hot::contexts;
use crate::Options;
use crate::report::{Goal, Table, Unit};
use crate::stage::Stage;

const MANY: usize = 100;
const ROW: &str = "GetContext of 30, 100 policies, 64 in flight (h2load)";
const TIMED: &str = "GetContext of 30, 100 policies, one by the time, 64 in flight (h2load)";

const ONE: &str = "permit (principal, action, resource);\n";

/// That one, and so many that are about the same action and other people or things.
fn many() -> String {
    (1..MANY).fold(ONE.to_owned(), |mut text, number| {
        let _ = writeln!(
            text,
            "permit (principal == Paramd::Principal::\"uid:{}\", action == \
             Paramd::Action::\"read\", resource in Paramd::Pipeline::\"p{number}\")\n\
             when {{ context has environment && context.environment == \"prod\" }};",
            100_000 + number
        );
        text
    })
}

pub(crate) async fn rows(options: &Options, table: &mut Table) {
    if ![ROW, TIMED].iter().any(|name| options.wants(name)) {
        return;
    }
    let one = Stage::under(ONE).await;
    // No decision by the time is remembered: each call asks all the policies.
    let late = "forbid (principal, action == Paramd::Action::\"read\", resource)\n\
                when { context.time > datetime(\"2999-01-01\") };\n";
    for (name, policies, goal) in
        [(ROW, many(), 0.9), (TIMED, many().replacen(ONE, &format!("{ONE}{late}"), 1), 0.5)]
    {
        if options.wants(name) {
            let stage = Stage::under(&policies).await;
            let rounds = contexts(options, &stage, &one);
            let goal = Goal::AtLeast(goal);
            table.compare(name, "one policy", Unit::PerSecond, goal, &rounds);
            stage.stop();
        }
    }
    one.stop();
}
