//! `paramd reveal`: a step's secrets, as they are, to standard output. The one
//! command that prints secrets, because it is what it was asked for.

use prost::Message as _;
use serde::Serialize;

use super::App;
use super::client::{Daemon, incomplete, send};
use super::error::{CliError, Expected};
use super::exit::Exit;
use super::run_name::RunArgs;
use super::step_token::StepToken;
use crate::envelope::{About, OwnKey, Unopenable};
use crate::name::{AliasName, StepName};
use crate::proto::v1::reveal_secrets_response::Secrets;
use crate::proto::v1::{self, SealingSuite, SecretEncoding};
use crate::secret::SecretBytes;
use crate::token::proof;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// The step; `main` in a pipeline that declares none.
    #[arg(value_parser = step_name)]
    step: String,
    /// The secrets, as `paramd context` names them.
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// All secrets that the step may see.
    #[arg(long)]
    all: bool,
    /// The instance of the step's matrix, from 0.
    #[arg(long, value_name = "N", value_parser = super::run_name::instance)]
    instance: Option<u32>,
    /// Writes them even if standard output is a terminal.
    #[arg(long)]
    to_terminal: bool,
}

/// Checks a step's name; an error doesn't repeat it.
pub(super) fn step_name(text: &str) -> Result<String, Expected> {
    Ok(StepName::parse(text)?.to_string())
}

/// A secret that was revealed.
pub(crate) struct Revealed {
    /// What it was asked for by.
    pub(crate) name: String,
    /// The bytes.
    pub(crate) bytes: SecretBytes,
    encoding: i32,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    if app.printer.is_terminal() && !args.to_terminal {
        return Err(CliError::usage(
            "standard output is a terminal: secrets would stay on the screen",
        )
        .with_help("send them to a file or a program, or say --to-terminal"));
    }
    if !app.wants_json() && (args.all || args.names.len() > 1) {
        return Err(CliError::usage("several secrets can't be told apart as plain text")
            .with_help("name one, or say --output json"));
    }
    let daemon = app.connect().await?;
    let request = v1::RevealSecretsRequest {
        run: Some(args.run.name()),
        step: args.step.clone(),
        instance: args.instance,
        names: args.names.clone(),
        all: args.all,
        recipient: None,
    };
    let secrets = call(&daemon, None, request).await.map_err(|error| with_way_out(error, args))?;
    print(app, &secrets)?;
    Ok(Exit::Success)
}

/// Says what was denied, and what may have been forgotten.
fn with_way_out(error: CliError, args: &Args) -> CliError {
    let of_instance = |name: &String| name.starts_with("env.") || name.starts_with("files.");
    let forgotten = args.instance.is_none() && args.names.iter().any(of_instance);
    let error = error.with_subjects(|at| given(at, args));
    if forgotten && error.exit == Exit::Denied {
        return error.with_help("of a step with a matrix, `env` and `files` need --instance N");
    }
    error
}

/// What was asked for at `names[2]`, where it could be a name: anything else
/// may be a misplaced secret.
fn given(field: &str, args: &Args) -> Option<String> {
    let index: usize = field.strip_prefix("names[")?.strip_suffix(']')?.parse().ok()?;
    let name = args.names.get(index)?;
    let entry = name.strip_prefix("env.").or_else(|| name.strip_prefix("files."));
    let is_name = match entry {
        Some(entry) => {
            (1..=64).contains(&entry.len())
                && entry.bytes().all(|one| one.is_ascii_alphanumeric() || b"._-".contains(&one))
        }
        None => AliasName::parse(name).is_ok(),
    };
    is_name.then(|| name.clone())
}

/// Asks for secrets, sealed to a key that is made for this answer alone: nothing
/// on the way holds them.
///
/// With a step token they are asked for in its name and not in the caller's.
pub(crate) async fn call(
    daemon: &Daemon,
    token: Option<&StepToken>,
    mut request: v1::RevealSecretsRequest,
) -> Result<Vec<Revealed>, CliError> {
    let own = OwnKey::generate().map_err(|_| CliError::new(Exit::Failed, "no random bytes"))?;
    request.recipient = Some(v1::Recipient {
        suite: SealingSuite::X25519Chacha20Poly1305.into(),
        public_key: own.public().to_vec(),
    });
    let (run, step, instance) =
        (request.run.clone().unwrap_or_default(), request.step.clone(), request.instance);
    let asked = if token.is_some() { daemon.without_token() } else { daemon.clone() };
    let answer = send(request, |mut request| {
        if let Some(token) = token {
            let about = proof::Asked { rpc: "RevealSecrets", recipient: own.public() };
            token.show(&mut request, about);
        }
        let mut client = asked.contexts();
        async move { client.reveal_secrets(request).await }
    });
    let Some(Secrets::Sealed(sealed)) = answer.await?.secrets else {
        return Err(incomplete());
    };
    let (pipeline, run_id, attempt) = (run.pipeline, run.run_id, sealed.attempt);
    if run.attempt != 0 && run.attempt != attempt {
        return Err(incomplete());
    }
    let about = About { pipeline, run_id, attempt, step, instance };
    opened(&own, &about, sealed).map_err(|Unopenable| {
        CliError::new(Exit::Failed, "the answer can't be opened: it was changed on its way")
    })
}

/// Opens an answer, in its order.
fn opened(
    own: &OwnKey,
    about: &About,
    sealed: v1::SealedSecrets,
) -> Result<Vec<Revealed>, Unopenable> {
    let mut opening = own.begin(&sealed.encapsulated_key)?;
    let one = |secret: v1::SealedSecret| {
        let plain = opening.open(about, &secret.name, &secret.ciphertext)?;
        #[expect(clippy::disallowed_methods, reason = "what was sealed holds the secret's bytes")]
        let payload = v1::SecretPayload::decode(plain.expose()).map_err(|_| Unopenable)?;
        Ok(Revealed {
            name: secret.name,
            bytes: SecretBytes::new(payload.data),
            encoding: payload.encoding,
        })
    };
    sealed.secrets.into_iter().map(one).collect()
}

fn print(app: &App, secrets: &[Revealed]) -> Result<(), CliError> {
    if app.wants_json() {
        let document = Document { secrets: secrets.iter().map(SecretDocument::new).collect() };
        let text = serde_json::to_vec_pretty(&document).map_err(|_| incomplete())?;
        return app.printer.secret(&SecretBytes::new([text, b"\n".to_vec()].concat()));
    }
    match secrets {
        [one] => app.printer.secret(&one.bytes),
        _ => Err(incomplete()),
    }
}

#[derive(Serialize)]
struct Document {
    secrets: Vec<SecretDocument>,
}

/// A secret in JSON: bytes of any kind survive as base64.
#[derive(Serialize)]
struct SecretDocument {
    name: String,
    /// `text`, `json` or `binary`: how the bytes are to be read.
    encoding: &'static str,
    base64: String,
}

impl SecretDocument {
    #[expect(clippy::disallowed_methods, reason = "`paramd reveal` hands out what was asked for")]
    fn new(secret: &Revealed) -> Self {
        use base64::Engine as _;
        Self {
            name: secret.name.clone(),
            encoding: match SecretEncoding::try_from(secret.encoding) {
                Ok(SecretEncoding::Text) => "text",
                Ok(SecretEncoding::Json) => "json",
                _ => "binary",
            },
            base64: base64::engine::general_purpose::STANDARD.encode(secret.bytes.expose()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn told(words: &[&str], exit: Exit) -> String {
        let line = [&["reveal", "a/b", "s"], words].concat();
        let args = <Line as clap::Parser>::parse_from(line).args;
        with_way_out(CliError::new(exit, "no"), &args).to_string()
    }

    #[test]
    fn a_denied_entry_without_an_instance_names_the_flag() {
        assert!(told(&["env.A"], Exit::Denied).contains("--instance N"));
        assert!(told(&["files.a"], Exit::Denied).contains("--instance N"));
        assert!(!told(&["env.A", "--instance", "0"], Exit::Denied).contains("--instance"));
        assert!(!told(&["a"], Exit::Denied).contains("--instance"));
        assert!(!told(&["env.A"], Exit::Conflict).contains("--instance"));
    }
}
