//! What policies are told beside who wants to do what with what.

use cedar_policy::{Context, RestrictedExpression};
use jiff::Timestamp;

use super::{Action, Request};

/// The context of a question; with the time only where a policy asks for it. `None`
/// only if Cedar refuses to hold it, which denies.
pub(super) fn of(request: &Request<'_>, with_time: bool) -> Option<Context> {
    let text = |name: &str| RestrictedExpression::new_string(name.to_owned());
    let environment = request.environment.map(|name| ("environment", text(name.as_str())));
    let preset = request.preset.map(|name| ("preset", text(name.as_str())));
    let sealed = match request.action {
        Action::Reveal => Some(false),
        Action::RevealSealed => Some(true),
        _ => None,
    };
    let sealed = sealed.map(|is| ("sealed", RestrictedExpression::new_bool(is)));
    let overridden = request.action.knows_overridden().then(|| {
        let names = request.overridden.iter().map(|name| text(name.as_str()));
        ("overridden", RestrictedExpression::new_set(names))
    });
    let time = with_time.then(|| ("time", time(request.time)));
    let pairs = environment.into_iter().chain(preset).chain(sealed).chain(overridden).chain(time);
    Context::from_pairs(pairs.map(|(key, value)| (key.to_owned(), value))).ok()
}

/// A time as Cedar has it: to the millisecond.
fn time(time: Timestamp) -> RestrictedExpression {
    RestrictedExpression::new_datetime(time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}
