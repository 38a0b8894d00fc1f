//! `paramd explain`: what a run would use, and why.

mod view;

use super::App;
use super::client::send;
use super::error::CliError;
use super::exit::Exit;
use super::request::{self, Args, Asked, Prepared};
use super::text::ticked;
use super::{document, render};
use crate::proto::v1;

pub(crate) async fn run(app: App, args: Args) -> Result<Exit, CliError> {
    let Asked::Request(prepared) = request::prepare("explain", app, args).await? else {
        return Ok(Exit::Success);
    };
    let unfit = prepared.of_made_run();
    if !unfit.is_empty() {
        let unfit = ticked(unfit.iter().copied());
        return Err(CliError::usage(format!("`explain` makes no run: it doesn't take {unfit}")));
    }
    let answer = call(&prepared).await?;
    let printer = prepared.app.printer;
    if prepared.app.wants_json() {
        printer.json(&view::ExplanationDocument::new(&prepared, &answer));
        return Ok(Exit::Success);
    }
    let width = printer.width();
    let mut text = render::facts([
        ("pipeline", &prepared.pipeline.name),
        ("environment", prepared.environment()),
        ("revision", &answer.revision),
    ]);
    text.push_str(&format!("\n{}\n", view::table(&answer.parameters, width)));
    text.push_str(&render::steps(&answer.steps, width));
    text.push_str(&render::warnings(&answer.warnings));
    printer.text(&text);
    Ok(Exit::Success)
}

/// Asks what a run would use.
pub(crate) async fn call(prepared: &Prepared) -> Result<v1::ExplainRunResponse, CliError> {
    send(prepared.explain_request(), |request| {
        let mut client = prepared.daemon.runs();
        async move { client.explain_run(request).await }
    })
    .await
}
