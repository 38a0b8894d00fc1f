//! When two requests are the same.

use super::super::submission::{Overrides, SecretOverride};
use super::super::testing::{plan, submitted, texts, typed};
use super::*;
use crate::secret::SecretBytes;
use crate::store::keys::FingerprintKey;

#[test]
fn requests_are_compared_by_meaning() {
    let plan = plan(
        r#"parameters:
  rate: { type: number, default: 1 }
  deep: { type: array, items: { type: number }, default: [] }
  limit: { type: number, secret: true, override: run, from: { env: { from: first, name: A } } }
"#,
    );
    let fingerprints = Fingerprints::new(&FingerprintKey::generate().unwrap());
    let frozen = |preset: &str, overrides: Overrides| {
        let (submission, problems) = submitted(&plan, "", overrides);
        assert!(problems.is_empty(), "{problems:?}");
        FrozenRequest::new(
            plan.environment.clone(),
            preset,
            None,
            &submission.overrides,
            &plan.common.interface,
            &fingerprints,
        )
    };
    let secret = |text: &str| {
        let bytes = SecretBytes::new(text.as_bytes().to_vec());
        let one = SecretOverride { bytes, encoding: None, unknown_encoding: false };
        Overrides { secret: [("limit".to_owned(), one)].into(), ..Overrides::default() }
    };
    let same = |a: &FrozenRequest, b: &FrozenRequest| a.differs(b, Compared::Whole).is_empty();
    assert!(same(
        &frozen("", texts(&[("rate", "3")])),
        &frozen("", typed(&[("rate", Value::Number(3.0))]))
    ));
    assert!(same(
        &frozen("", texts(&[("deep", "[1, 2.50]")])),
        &frozen("", texts(&[("deep", "[1.0,2.5]")]))
    ));
    assert!(same(&frozen("", secret("3")), &frozen("", secret("3.0"))));
    let one = frozen("", texts(&[("rate", "3")]));
    assert_eq!(one.differs(&frozen("", texts(&[])), Compared::Whole), ["overrides.rate"]);
    // The value that would be used anyway is not the same request as none.
    assert_eq!(
        frozen("", texts(&[])).differs(&frozen("", texts(&[("rate", "1")])), Compared::Whole),
        ["overrides.rate"]
    );
    assert_eq!(one.differs(&frozen("quick", texts(&[("rate", "3")])), Compared::Whole), ["preset"]);
    assert_eq!(
        frozen("", secret("3")).differs(&frozen("", secret("4")), Compared::Whole),
        ["secret_overrides.limit"]
    );
}
