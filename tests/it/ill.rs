//! Sources when ill: what the caller gets, how often the source is tried, how
//! long it takes, what the log and the audit log say; and that nobody else waits.
//!
//! The rows are those of `docs/ill-sources.md`. The servers are real; what they
//! can't be made to do, a proxy in front of them does. A source goes through its
//! illnesses under one daemon, which is never restarted, and is well in between;
//! beside each, there is a run on a source that is well.

mod crowd;
mod local;
mod mariadb;
mod page;
mod postgres;
mod told;
mod vault;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use paramd::proto::v1::{ListFailuresRequest, RunName};
use tonic::Status;

use self::page::{Row, Told, rows};
use self::told::{audited, compare, logged};
use crate::support::client::{Client, resolve, run};
use crate::support::config::{Config, database};
use crate::support::daemon::{Daemon, Launch};
use crate::support::proxy::{Fault, Proxy};

/// What the sources have.
const VALUE: &str = "value-of-an-ill-source-9d07";
/// What servers say in their own words.
const WORDS: &str = "words-of-a-server-c44e";
/// The most that a machine with much to do adds.
const SLACK: Duration = Duration::from_secs(4);
/// The longest that a run may take beside an ill source.
const BESIDE: Duration = Duration::from_secs(2);

/// A daemon over an ill source and one that is well.
struct Ward {
    heading: &'static str,
    rows: VecDeque<Row>,
    config: Config,
    daemon: Daemon,
    client: Client,
    /// What stands before the source, where it is a server.
    proxy: Option<Proxy>,
    asked: usize,
    /// The last run of the pipeline `ill` that was resolved.
    resolved: Option<String>,
    wrong: Vec<String>,
}

impl Ward {
    /// Starts it for the rows under a heading, on a configuration to which a
    /// source that is well is added.
    async fn open(
        heading: &'static str,
        config: Config,
        proxy: Option<Proxy>,
        launch: impl FnOnce(Launch) -> Launch,
    ) -> Self {
        add_well(&config);
        let daemon = launch(Launch::dev(&config.path, config.around())).start().await;
        let client = daemon.client().await;
        let (rows, wrong) = (rows(heading), Vec::new());
        Self { heading, rows, config, daemon, client, proxy, asked: 0, resolved: None, wrong }
    }

    /// The next row, by a fault of the way to the source; it is well before and after.
    async fn row(&mut self, how: &str, fault: Fault, pipeline: &str) {
        self.recovers().await;
        self.set(fault).await;
        self.check(how, pipeline).await;
        self.set(Fault::None).await;
    }

    /// Ends the connections to the server; those to come have this fault.
    async fn set(&mut self, fault: Fault) {
        self.proxy.as_mut().unwrap().set(fault).await;
    }

    /// The next row: resolves a pipeline, and takes down what isn't as told.
    async fn check(&mut self, how: &str, pipeline: &str) {
        let row = self.rows.pop_front().expect(how);
        assert_eq!(row.how, how, "the rows come in the order of the page");
        let wrong = self.go_through(&row, pipeline).await;
        let cell = format!("{}: {}, {how}", self.heading, row.illness);
        self.wrong.extend(wrong.into_iter().map(|wrong| format!("{cell}: {wrong}")));
    }

    /// The source is well, so the pipeline `ill` is resolved.
    async fn recovers(&mut self) {
        self.well("ill").await;
    }

    /// The source is well, so this pipeline is resolved.
    async fn well(&mut self, pipeline: &str) {
        self.asked += 1;
        let id = format!("well-{}", self.asked);
        let answer = self.client.resolve(resolve(pipeline, &id)).await;
        if answer.is_ok() && pipeline == "ill" {
            self.resolved = Some(id);
        } else if let Err(status) = answer {
            let before = self.rows.front().map(|row| row.how.clone());
            let message = status.message();
            self.wrong.push(format!("{}: not well before {before:?}: {message}", self.heading));
        }
    }

    async fn go_through(&mut self, row: &Row, pipeline: &str) -> Vec<String> {
        self.asked += 1;
        let id = format!("row-{}", self.asked);
        let seen = self.seen();
        let begun = Instant::now();
        let ill = async {
            let answer = self.client.resolve(resolve(pipeline, &id)).await;
            (answer, begun.elapsed())
        };
        let ((answer, took), mut wrong) = tokio::join!(ill, self.beside(&id));
        if took < row.takes || took > row.takes + SLACK {
            wrong.push(format!("it took {took:?}"));
        }
        let seen = self.seen() - seen;
        if row.seen.is_some_and(|told| told != seen) {
            wrong.push(format!("{seen} were seen"));
        }
        wrong.extend(compare(&row.told, &answer));
        if let (Told::Source { cause, .. }, Err(_)) = (&row.told, &answer) {
            wrong.extend(self.failure(pipeline, &id, cause, row.tries).await);
        }
        let reason = answer.err().map(|status| told::reason(&status)).unwrap_or_default();
        let name = run(pipeline, &id);
        wrong.extend(audited(&self.client.events().await, &name, &reason));
        wrong.extend(logged(&self.daemon.log(), &name, &reason));
        println!(
            "{}: {}, {}: {} after {} ms",
            self.heading,
            row.illness,
            row.how,
            if reason.is_empty() { "value" } else { &reason },
            took.as_millis()
        );
        wrong
    }

    /// What is wrong with who needs nothing of the ill source: a run on one that is
    /// well, and the last that was resolved.
    async fn beside(&self, id: &str) -> Vec<String> {
        let begun = Instant::now();
        let well = self.client.resolve(resolve("well", id)).await.map(drop);
        let resolved = match &self.resolved {
            Some(id) => self.handed_out(&run("ill", id)).await,
            None => Ok(()),
        };
        let took = begun.elapsed();
        if well.is_ok() && resolved.is_ok() && took < BESIDE {
            return Vec::new();
        }
        vec![format!("others got {well:?} and {resolved:?} after {took:?}")]
    }

    /// Asks for all of a resolved run.
    async fn handed_out(&self, name: &RunName) -> Result<(), Status> {
        self.client.resolve(resolve(&name.pipeline, &name.run_id)).await?;
        let context = self.client.context(name, "go").await?.context.unwrap();
        let secret = self.heading.starts_with("OpenBao");
        assert_eq!(!context.secrets.is_empty(), secret, "what comes from Vault is secret");
        if secret {
            let secrets = self.client.reveal_all(name, "go", None).await?;
            assert_eq!(secrets.len(), context.secrets.len());
        }
        Ok(())
    }

    fn seen(&self) -> usize {
        self.proxy.as_ref().map_or(0, Proxy::asked)
    }

    /// What `paramd why` would tell.
    async fn failure(
        &self,
        pipeline: &str,
        id: &str,
        cause: &str,
        tries: Option<u32>,
    ) -> Vec<String> {
        let request = ListFailuresRequest { run: Some(run(pipeline, id)) };
        let told = self.client.runs.clone().list_failures(request).await.unwrap().into_inner();
        let [failure] = told.failures.as_slice() else {
            return vec![format!("{} failures are kept", told.failures.len())];
        };
        let [one] = failure.parameters.as_slice() else {
            return vec![format!("{failure:?}")];
        };
        let tried = Some(one.attempt_count) == tries;
        let fits = one.parameter == "value" && one.cause == cause && tried;
        if fits { Vec::new() } else { vec![format!("it is kept as {one:?}")] }
    }

    /// Ends it, and gives all that was wrong.
    async fn close(mut self) -> Vec<String> {
        self.recovers().await;
        let left: Vec<_> = self.rows.iter().map(|row| &row.how).collect();
        assert!(left.is_empty(), "{}: nobody goes through {left:?}", self.heading);
        println!("{}: {} runs, {} wrong", self.heading, self.asked, self.wrong.len());
        self.daemon.stop();
        self.wrong
    }
}

/// Fails with all that was wrong.
fn all_is_well(wrong: &[Vec<String>]) {
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A source that is always well, and a pipeline on it.
fn add_well(config: &Config) {
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    let well = "sources:\n  healthy: { sql: { url: \"sqlite:healthy.db\" }, grants: [{ pipelines: [well] }] }\n";
    config.write("paramd.yaml", settings.replace("sources:\n", well));
    database(
        &config.path.join("healthy.db"),
        "create table t (v text); insert into t values ('x')",
    );
    let from = "{ sql: { from: healthy, query: select v from t } }";
    config.write("pipelines/well.yaml", pipeline("well", "string", from));
}

/// A pipeline with one parameter `value`, for which a default is there.
fn pipeline(name: &str, kind: &str, from: &str) -> String {
    format!(
        "name: {name}\nparameters:\n  value: {{ type: {kind}, from: {from} }}\n\
         steps: [{{ name: go, params: [value], env: {{ }} }}]\n"
    )
}
