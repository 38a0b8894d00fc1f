//! A parameter's value from a source: where it is, whether that is granted, and
//! what the answer means.

use super::{Evaluator, Failed, Outcome, Values, misfit};
use crate::name::ParameterName;
use crate::plan::{LayerBinding, PlannedBind, PlannedSource, render_address};
use crate::provenance::{Provenance, cut_location};
use crate::refusal::ViolationReason;
use crate::resolve::failure::{Asked, Failure, reason_of, words_of};
use crate::source::{Answer, Ask, Cause, Located, PickError};

impl Evaluator<'_> {
    /// The value that a source has, or its default.
    pub(super) async fn fetch(
        &self,
        name: &ParameterName,
        winner: &LayerBinding,
        source: &PlannedSource,
        read: &Values,
    ) -> Outcome {
        let (ask, located) = self.located(name, winner, source, read)?;
        let location = cut_location(&located.location);
        let outcome = self.fetcher.read(&source.source, located.read).await;
        let Some(outcome) = outcome.get() else { return Err(Failed) };
        let asked = |cause| asked(source, &location, cause, outcome.attempts);
        // An unkeyed hash of a secret would let whoever sees it try guesses.
        let untold = source.kind.version_tells_content() && self.is_secret(name);
        let provenance = |version: Option<String>| Provenance {
            layer: winner.layer,
            source: source.kind.kind(),
            source_name: Some(source.source.clone()),
            location: location.clone(),
            version: version.filter(|_| !untold),
            fetched: Some(outcome.time),
            computed_from: source.references.parameters.clone(),
            default_used: false,
        };
        let (raw, version) = match &outcome.answer {
            Err(error) => {
                let asked = Asked { retry_after: error.retry_after, ..asked(Some(error.cause)) };
                return Err(self.source_failed(name, error.cause, asked));
            }
            Ok(Answer::Gone) => {
                let description = "the source had it once: it was deleted or destroyed".to_owned();
                let failure = Failure::own(name.as_str(), ViolationReason::ValueGone, description);
                return Err(self.fail(Failure { asked: Some(asked(None)), ..failure }));
            }
            Ok(Answer::Missing) => {
                return self.default(name, provenance(None), asked(None));
            }
            Ok(Answer::Found { raw, version }) => (raw, version.clone()),
        };
        let Some(parameter) = self.plan.common.interface.parameters.get(name) else {
            return Err(Failed);
        };
        match source.kind.pick(raw, &ask, &parameter.schema) {
            Ok(value) => self.checked(name, value, provenance(version), Some(asked(None))),
            Err(PickError::Missing) => self.default(name, provenance(version), asked(None)),
            Err(PickError::Failed(cause)) => {
                Err(self.source_failed(name, cause, asked(Some(cause))))
            }
            Err(PickError::Invalid { pointer, expected }) => {
                let description = misfit(parameter.secret, &pointer, &expected);
                let failure =
                    Failure::own(name.as_str(), ViolationReason::InvalidValue, description);
                Err(self.fail(Failure { asked: Some(asked(None)), keyword: "type", ..failure }))
            }
        }
    }

    fn source_failed(&self, name: &ParameterName, cause: Cause, asked: Asked) -> Failed {
        let description = words_of(cause).to_owned();
        let failure = Failure::own(name.as_str(), reason_of(cause), description);
        self.fail(Failure { asked: Some(asked), ..failure })
    }

    /// Renders the address and decides the grants on its canonical form.
    fn located(
        &self,
        name: &ParameterName,
        winner: &LayerBinding,
        source: &PlannedSource,
        read: &Values,
    ) -> Result<(Ask, Located), Failed> {
        let scope = self.scope(read);
        let address = render_address(&source.address, &scope)
            .map_err(|error| self.template_failed(name, error))?;
        let mut binds = Vec::with_capacity(source.binds.len());
        for (bind, planned) in &source.binds {
            let value = match planned {
                PlannedBind::Literal(value) => value.clone(),
                PlannedBind::Template(template) => {
                    template.evaluate(&scope).map_err(|error| self.template_failed(name, error))?
                }
            };
            binds.push((bind.clone(), value));
        }
        let ask = Ask { address, texts: source.texts.clone(), binds };
        let located =
            source.kind.locate(&ask).map_err(|error| self.template_failed(name, error))?;
        if !crate::plan::covers(&winner.grants, located.grant_path.as_deref()) {
            let asked = asked(source, &cut_location(&located.location), Some(Cause::NotGranted), 0);
            return Err(self.source_failed(name, Cause::NotGranted, asked));
        }
        Ok((ask, located))
    }

    /// The default stands in where the source says that there is no such value.
    fn default(&self, name: &ParameterName, mut provenance: Provenance, asked: Asked) -> Outcome {
        let default =
            self.plan.common.declared.get(name).and_then(|declared| declared.default.as_ref());
        match default {
            Some(value) => {
                provenance.default_used = true;
                Ok(self.evaluated_as(name, value.clone(), provenance))
            }
            None => {
                let description =
                    "the source has no such value, and there is no default".to_owned();
                let failure =
                    Failure::own(name.as_str(), ViolationReason::NoSuchValue, description);
                Err(self.fail(Failure { asked: Some(asked), ..failure }))
            }
        }
    }
}

/// A source that was asked for the value at a place.
fn asked(source: &PlannedSource, location: &str, cause: Option<Cause>, attempts: u32) -> Asked {
    Asked {
        kind: source.kind.kind(),
        source: source.source.clone(),
        location: location.to_owned(),
        cause,
        attempts,
        retry_after: None,
    }
}
