//! Drives every rpc and every command, with what may be asked and with what may
//! not, and keeps what comes back.

pub(super) mod commands;
pub(super) mod misplaced;
pub(super) mod processes;
pub(super) mod rpcs;
pub(super) mod sources;
mod steps;
pub(super) mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use paramd::proto::v1::ResolveRunRequest;
use prost::Message;
use prost_reflect::DescriptorPool;
use tonic::{Code, Response, Status};

use super::plant::Planted;
use super::secret::Secret;
use super::sinks::Sinks;
use crate::support::client::{Client, resolve};
use crate::support::root;
use crate::support::status::{everything, problem};

/// How often something went well, and how often not.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Driven {
    pub(super) well: usize,
    pub(super) badly: usize,
}

impl Driven {
    fn note(&mut self, went_well: bool) {
        if went_well {
            self.well += 1;
        } else {
            self.badly += 1;
        }
    }
}

/// All that was driven, and where what came back is kept.
pub(super) struct Drive<'a> {
    pub(super) planted: &'a Planted,
    pub(super) sinks: &'a mut Sinks,
    pub(super) rpcs: BTreeMap<&'static str, Driven>,
    pub(super) commands: BTreeMap<String, Driven>,
    pub(super) codes: BTreeSet<String>,
}

impl<'a> Drive<'a> {
    pub(super) fn new(planted: &'a Planted, sinks: &'a mut Sinks) -> Self {
        let commands = commands::declared().into_iter().map(|name| (name, Driven::default()));
        let (commands, rpcs, codes) = (commands.collect(), BTreeMap::new(), BTreeSet::new());
        Self { planted, sinks, rpcs, commands, codes }
    }

    /// Keeps an answer that must be free of secrets, or the error; whether it was
    /// an answer.
    fn keep<T: Message + Debug>(
        &mut self,
        rpc: &'static str,
        answer: Result<Response<T>, Status>,
    ) -> bool {
        match answer {
            Ok(answer) => {
                self.sinks.add("answers", answer.get_ref().encode_to_vec());
                self.well(rpc, &answer);
                true
            }
            Err(status) => {
                self.badly(rpc, &status);
                false
            }
        }
    }

    /// Notes an answer without its bytes.
    fn well<T: Debug>(&mut self, rpc: &'static str, answer: &Response<T>) {
        self.sinks.add("requests and answers as Debug", format!("{:?}", answer.get_ref()));
        self.sinks.add("metadata of answers and errors", format!("{:?}", answer.metadata()));
        self.rpcs.entry(rpc).or_default().note(true);
    }

    fn badly(&mut self, rpc: &'static str, status: &Status) {
        self.sinks.add("messages of errors", format!("{status} {:?}", status.message()));
        self.sinks.add("details of errors", status.details());
        self.sinks.add("details of errors", everything(status));
        self.sinks.add("metadata of answers and errors", format!("{:?}", status.metadata()));
        self.sinks.add("requests and answers as Debug", format!("{status:?}"));
        self.codes.insert(code(status.code()));
        self.rpcs.entry(rpc).or_default().note(false);
    }

    /// A request that resolves, with the secrets that a caller passes.
    fn request(&mut self, run_id: &str) -> ResolveRunRequest {
        let mut request = resolve("canary", run_id).text("large", "true");
        for (index, secret) in self.planted.of("override").iter().enumerate() {
            request = request.secret(&format!("override_{index}"), &secret.bytes);
        }
        let request = request.into();
        self.sinks.add("requests and answers as Debug", format!("{request:?}"));
        request
    }

    /// The same with other secrets.
    fn other_request(&mut self, run_id: &str) -> ResolveRunRequest {
        let mut request = self.request(run_id);
        for (index, secret) in self.planted.of("misplaced").iter().enumerate() {
            let payload = request.secret_overrides.get_mut(&format!("override_{index}")).unwrap();
            payload.data.clone_from(&secret.bytes);
        }
        request
    }

    async fn resolves(&mut self, client: &mut Client, request: ResolveRunRequest) -> bool {
        let answer = client.runs.resolve_run(request).await;
        self.keep("ResolveRun", answer)
    }

    /// The same for one that must go well.
    async fn must_resolve(&mut self, client: &mut Client, request: ResolveRunRequest) {
        let answer = client.runs.resolve_run(request).await;
        let said = answer.as_ref().err().map(problem);
        assert!(self.keep("ResolveRun", answer), "{said:?}");
    }

    fn misplaced(&self) -> &'a [Secret] {
        self.planted.of("misplaced")
    }

    /// The daemon itself is a command that went well.
    pub(super) fn note_served(&mut self) {
        self.note_command(&["serve"], true);
    }

    /// Every rpc was driven to an answer and to an error, every command to success
    /// and to failure, and every code of the contract came.
    pub(super) fn check(&self) {
        let pool = DescriptorPool::decode(paramd::proto::DESCRIPTORS).unwrap();
        let services = pool.services().filter(|service| service.package_name() == "paramd.v1");
        let methods: BTreeSet<String> = services
            .flat_map(|service| {
                service.methods().map(|one| one.name().to_owned()).collect::<Vec<_>>()
            })
            .collect();
        let driven: BTreeSet<String> = self.rpcs.keys().map(|name| (*name).to_owned()).collect();
        assert_eq!(driven, methods, "rpcs");
        for (rpc, driven) in &self.rpcs {
            assert!(driven.well > 0 && driven.badly > 0, "{rpc}: {driven:?}");
        }
        for (command, driven) in &self.commands {
            assert!(driven.well > 0 && driven.badly > 0, "{command}: {driven:?}");
        }
        let missing: Vec<_> = codes().difference(&self.codes).cloned().collect();
        assert!(missing.is_empty(), "codes: {missing:?}");
    }

    /// How much of what is there was driven.
    pub(super) fn counts(&self) -> Vec<String> {
        vec![
            format!("{} rpcs", self.rpcs.len()),
            format!("{} codes", codes().intersection(&self.codes).count()),
            format!("{} commands", self.commands.len()),
        ]
    }
}

/// The codes of the contract's table of errors, but for `INTERNAL`: that is a
/// fault, and whoever finds a way to one mends it.
fn codes() -> BTreeSet<String> {
    let page = std::fs::read_to_string(root().join("proto/README.md")).unwrap();
    let rows = page.lines().skip_while(|line| !line.starts_with("| code | reason |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let codes = rows.map(|line| line.split('`').nth(1).unwrap().to_owned());
    codes.filter(|code| code != "INTERNAL").collect()
}

/// As the contract spells it.
fn code(code: Code) -> String {
    let mut text = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}
