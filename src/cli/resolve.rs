//! `paramd resolve`: resolves a run and shows what was frozen.

use super::client::{Daemon, incomplete, send};
use super::document::RecordDocument;
use super::error::CliError;
use super::exit::Exit;
use super::request::{self, Args, Asked};
use super::{App, render};
use crate::proto::v1;

pub(crate) async fn run(app: App, args: Args) -> Result<Exit, CliError> {
    let Asked::Request(prepared) = request::prepare("resolve", app, args).await? else {
        return Ok(Exit::Success);
    };
    let answer = call(&prepared.daemon, prepared.resolve_request()?).await?;
    let run = answer.run.as_ref().ok_or_else(incomplete)?;
    let snapshot = answer.snapshot.as_ref().ok_or_else(incomplete)?;
    let printer = prepared.app.printer;
    if prepared.app.wants_json() {
        printer.json(&RecordDocument::new(run, snapshot).resolved(&answer));
    } else {
        let mut text = render::run(run);
        text.push_str(&render::result(&answer));
        text.push_str(&render::snapshot(snapshot, printer.width()));
        printer.text(&text);
    }
    Ok(Exit::Success)
}

/// Resolves a run, or takes what was frozen.
pub(crate) async fn call(
    daemon: &Daemon,
    request: v1::ResolveRunRequest,
) -> Result<v1::ResolveRunResponse, CliError> {
    send(request, |request| {
        let mut client = daemon.runs();
        async move { client.resolve_run(request).await }
    })
    .await
}
