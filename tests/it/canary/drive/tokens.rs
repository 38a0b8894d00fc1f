//! Bearer tokens, from the command line and in requests.

use paramd::proto::v1::ListPipelinesRequest;

use super::Drive;
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::Daemon;
use crate::support::step_token::shown;

/// A new bearer token.
pub(in crate::canary) fn made(config: &Config) -> String {
    let directory = config.path.to_str().unwrap();
    let made = paramd(["token", "create", "canary", "--config", directory]).ok();
    let token = made.out.trim().to_owned();
    assert!(token.len() > 40 && !made.err.contains(&token));
    token
}

/// A bearer token's life: listed, used from the command line and in a request,
/// used with a letter too few, and revoked.
pub(in crate::canary) async fn live(
    drive: &mut Drive<'_>,
    daemon: &Daemon,
    config: &Config,
    token: &str,
) {
    let directory = config.path.to_str().unwrap();
    let manage = |words: &[&str]| {
        let mut command = paramd(["token"]).into_command();
        command.args(words).args(["--config", directory]).output().unwrap()
    };
    drive.note_command(&["token", "create"], true);
    drive.ended(&["token", "create"], manage(&["create", "canary"]), false);
    drive.ended(&["token", "list"], manage(&["list"]), true);
    drive.ended(&["token", "list", "json"], manage(&["list", "--output=json"]), true);
    for (text, good) in [(token, true), (&token[..token.len() - 1], false)] {
        let command = paramd(["audit", "list"]).at(daemon).env("PARAMD_TOKEN", text);
        drive.ended(&["audit", "list"], command.into_command().output().unwrap(), good);
    }
    let mut client = daemon.client().await;
    let request = shown(token, ListPipelinesRequest::default());
    let answer = client.pipelines.list_pipelines(request).await;
    assert!(drive.keep("ListPipelines", answer));
    drive.ended(&["token", "revoke"], manage(&["revoke", "canary"]), true);
}

/// A token that another signed: used in a request and from the command line, and with
/// a letter too few.
pub(in crate::canary) async fn signed(drive: &mut Drive<'_>, daemon: &Daemon, jwt: &str) {
    let mut client = daemon.client().await;
    for (text, good) in [(jwt, true), (&jwt[..jwt.len() - 1], false)] {
        let command = paramd(["audit", "list"]).at(daemon).env("PARAMD_TOKEN", text);
        drive.ended(&["audit", "list"], command.into_command().output().unwrap(), good);
        let request = shown(text, ListPipelinesRequest::default());
        let answer = client.pipelines.list_pipelines(request).await;
        assert_eq!(drive.keep("ListPipelines", answer), good);
    }
}
