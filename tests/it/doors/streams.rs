//! Who is no longer known is served no longer, on open connections too.

use std::time::Duration;

use paramd::proto::v1::{WatchEventsRequest, WatchEventsResponse};
use serde_json::json;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{House, ask, tcp};
use crate::support::client::Client;
use crate::support::command::paramd;
use crate::support::jwt::{Issuer, claims, jwks, now};
use crate::support::status::check_reason;
use crate::support::wait_until;

/// Longer than a stream may be silent.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn watch(
    client: &Client,
    credential: Option<&str>,
) -> Streaming<WatchEventsResponse> {
    let mut request = Request::new(WatchEventsRequest::default());
    if let Some(credential) = credential {
        let value = MetadataValue::try_from(credential).unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    client.audit.clone().watch_events(request).await.unwrap().into_inner()
}

/// How a stream ends.
pub(super) async fn end(mut stream: Streaming<WatchEventsResponse>) -> Status {
    tokio::time::timeout(LIMIT, async {
        loop {
            match stream.message().await {
                Ok(message) => assert!(message.is_some(), "only an error ends the stream"),
                Err(status) => return status,
            }
        }
    })
    .await
    .expect("the stream ends in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_while_it_is_connected_is_good_no_longer() {
    let house = House::new();
    let daemon = house.open().await;
    let files = house.authority.short_client("short", Duration::from_secs(4));
    let channel = house.channel(&tcp(&daemon), Some(&files)).await;
    let client = Client::new(channel.clone());
    assert_eq!(ask(&client, &[]).await.unwrap(), 1);
    let watching = watch(&client, None).await;
    // A stream that wants no principal goes on as long as its connection.
    let request = HealthCheckRequest { service: String::new() };
    let mut open = HealthClient::new(channel).watch(request).await.unwrap().into_inner();
    let refused = wait_until("the certificate ends", LIMIT, async || ask(&client, &[]).await.err());
    check_reason(&refused.await, "UNAUTHENTICATED");
    check_reason(&end(watching).await, "UNAUTHENTICATED");
    assert!(daemon.log().contains("expired certificate"), "{}", daemon.log());
    let closed = async { while let Ok(Some(_)) = open.message().await {} };
    tokio::time::timeout(2 * LIMIT, closed).await.expect("the connection ends");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_ends_its_streams() {
    let house = House::new();
    let daemon = house.open().await;
    let credential = format!("Bearer {}", house.token("ci"));
    let client = house.client(&tcp(&daemon), None).await;
    let watching = watch(&client, Some(&credential)).await;
    paramd(["token", "revoke", "ci", "--config", house.directory()]).ok();
    check_reason(&end(watching).await, "UNAUTHENTICATED");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_ends_its_streams_when_it_ends_or_its_key_goes() {
    let house = House::new();
    let before = std::fs::read_to_string(house.config.path.join("paramd.yaml")).unwrap();
    house.config.write("paramd.yaml", format!("{}{before}", Issuer::SETTINGS));
    let issuer = Issuer::new(&house.config.path);
    let daemon = house.open().await;
    let client = house.client(&tcp(&daemon), None).await;
    // The clock of the issuer may be half a minute from ours.
    let short = issuer.ed.token(&claims("short", json!({ "exp": now() - 24 })));
    let lasting = issuer.ec.token(&claims("lasting", json!({})));
    let [short, lasting] = [short, lasting].map(|token| format!("Bearer {token}"));
    let expiring = watch(&client, Some(&short)).await;
    let revoked = watch(&client, Some(&lasting)).await;
    check_reason(&end(expiring).await, "UNAUTHENTICATED");
    house.config.write("keys/idp.json", jwks(&[&issuer.ed]));
    check_reason(&end(revoked).await, "UNAUTHENTICATED");
    let log = daemon.log();
    assert!(log.contains("expired JWT") && log.contains("JWT with an unknown key"), "{log}");
    daemon.stop();
}
