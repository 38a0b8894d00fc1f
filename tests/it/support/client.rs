//! A gRPC client over the Unix socket, and short ways to say requests.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use paramd::proto::v1::audit_service_client::AuditServiceClient;
use paramd::proto::v1::context_service_client::ContextServiceClient;
use paramd::proto::v1::pipeline_service_client::PipelineServiceClient;
use paramd::proto::v1::run_service_client::RunServiceClient;
use paramd::proto::v1::{
    CompleteRunRequest, CompleteRunResponse, Event, GetContextRequest, GetContextResponse,
    ListEventsRequest, Null, PlainSecret, ResolveRunRequest, ResolveRunResponse,
    RevealSecretsRequest, RunName, RunOutcome, SecretPayload, Value, reveal_secrets_response,
    value,
};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// A connection to the daemon's socket.
pub(crate) async fn channel(socket: &Path) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("unix:{}", socket.display()))?
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(60))
        .connect()
        .await
}

/// One client of every service.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) pipelines: PipelineServiceClient<Channel>,
    pub(crate) runs: RunServiceClient<Channel>,
    pub(crate) context: ContextServiceClient<Channel>,
    pub(crate) audit: AuditServiceClient<Channel>,
}

impl Client {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            pipelines: PipelineServiceClient::new(channel.clone()),
            runs: RunServiceClient::new(channel.clone()),
            context: ContextServiceClient::new(channel.clone()),
            audit: AuditServiceClient::new(channel),
        }
    }

    pub(crate) async fn resolve(
        &self,
        request: impl Into<ResolveRunRequest>,
    ) -> Result<ResolveRunResponse, Status> {
        Ok(self.runs.clone().resolve_run(request.into()).await?.into_inner())
    }

    pub(crate) async fn context(
        &self,
        run: &RunName,
        step: &str,
    ) -> Result<GetContextResponse, Status> {
        let request = GetContextRequest {
            run: Some(run.clone()),
            step: step.into(),
            ..GetContextRequest::default()
        };
        Ok(self.context.clone().get_context(request).await?.into_inner())
    }

    /// All secrets of a step's instance.
    pub(crate) async fn reveal_all(
        &self,
        run: &RunName,
        step: &str,
        instance: Option<u32>,
    ) -> Result<Vec<PlainSecret>, Status> {
        let request = RevealSecretsRequest {
            run: Some(run.clone()),
            step: step.into(),
            instance,
            all: true,
            ..RevealSecretsRequest::default()
        };
        let answer = self.context.clone().reveal_secrets(request).await?.into_inner();
        match answer.secrets {
            Some(reveal_secrets_response::Secrets::Plain(plain)) => Ok(plain.secrets),
            _ => panic!("the answer is sealed or empty"),
        }
    }

    pub(crate) async fn complete(
        &self,
        run: &RunName,
        outcome: RunOutcome,
    ) -> Result<CompleteRunResponse, Status> {
        let request = CompleteRunRequest { run: Some(run.clone()), outcome: outcome.into() };
        Ok(self.runs.clone().complete_run(request).await?.into_inner())
    }

    /// The whole audit log.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let mut request = ListEventsRequest { page_size: 1000, ..ListEventsRequest::default() };
        let mut events = Vec::new();
        loop {
            let page = self.audit.clone().list_events(request.clone()).await.unwrap().into_inner();
            events.extend(page.events);
            if page.next_page_token.is_empty() {
                return events;
            }
            request.page_token = page.next_page_token;
        }
    }
}

/// A run's name, its newest attempt.
pub(crate) fn run(pipeline: &str, run_id: &str) -> RunName {
    RunName { pipeline: pipeline.into(), run_id: run_id.into(), attempt: 0 }
}

/// A `ResolveRunRequest` in the making.
pub(crate) struct Resolve(ResolveRunRequest);

/// Asks to resolve `pipeline` in the environment `dev`.
pub(crate) fn resolve(pipeline: &str, run_id: &str) -> Resolve {
    Resolve(ResolveRunRequest {
        run: Some(run(pipeline, run_id)),
        environment: "dev".into(),
        ..ResolveRunRequest::default()
    })
}

impl Resolve {
    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.0.text_overrides.insert(name.into(), value.into());
        self
    }

    pub(crate) fn value(mut self, name: &str, value: value::Kind) -> Self {
        self.0.overrides.insert(name.into(), Value { kind: Some(value) });
        self
    }

    pub(crate) fn secret(mut self, name: &str, data: &[u8]) -> Self {
        let payload = SecretPayload { data: data.into(), encoding: 0 };
        self.0.secret_overrides.insert(name.into(), payload);
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut ResolveRunRequest)) -> Self {
        change(&mut self.0);
        self
    }
}

impl From<Resolve> for ResolveRunRequest {
    fn from(request: Resolve) -> Self {
        request.0
    }
}

/// A value as JSON has it: integers and numbers stay what they are.
pub(crate) fn to_proto(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => value::Kind::NullValue(Null {}),
        Json::Bool(flag) => value::Kind::BoolValue(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => value::Kind::IntValue(integer),
            None => value::Kind::DoubleValue(number.as_f64().unwrap()),
        },
        Json::String(text) => value::Kind::StringValue(text.clone()),
        Json::Array(items) => value::Kind::ListValue(paramd::proto::v1::ListValue {
            values: items.iter().map(to_proto).collect(),
        }),
        Json::Object(fields) => value::Kind::MapValue(paramd::proto::v1::MapValue {
            fields: fields.iter().map(|(name, field)| (name.clone(), to_proto(field))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

/// A value of the contract as JSON; bytes can't occur in what is compared.
pub(crate) fn to_json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value.kind.as_ref().expect("a value has a kind") {
        value::Kind::NullValue(_) => Json::Null,
        value::Kind::BoolValue(flag) => Json::from(*flag),
        value::Kind::IntValue(integer) => Json::from(*integer),
        value::Kind::DoubleValue(number) => Json::from(*number),
        value::Kind::StringValue(text) => Json::from(text.clone()),
        value::Kind::ListValue(list) => list.values.iter().map(to_json).collect(),
        value::Kind::MapValue(map) => map_to_json(&map.fields),
        value::Kind::BytesValue(_) => panic!("bytes among public values"),
    }
}

/// Values by name as a JSON object.
pub(crate) fn map_to_json(fields: &BTreeMap<String, Value>) -> serde_json::Value {
    fields.iter().map(|(name, field)| (name.clone(), to_json(field))).collect()
}

/// Whether two values are alike: numbers by value, all else to the letter.
pub(crate) fn alike(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| alike(a, b)))
        }
        _ => a == b,
    }
}
