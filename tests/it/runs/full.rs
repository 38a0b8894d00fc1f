//! A disk that takes no more: nothing is answered that can't be recorded, and
//! all goes on once there is room.

use paramd::proto::v1::{Action, EventOutcome, VerifyLogRequest};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::small;
use crate::support::client::{resolve, run};
use crate::support::daemon::{Daemon, Launch};
use crate::support::status::check_reason;

/// Lets the daemon's files grow to so many bytes.
pub(super) fn limit(daemon: &Daemon, bytes: Option<u64>) {
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(Pid::from_child(daemon.child())), Resource::Fsize, limit).unwrap();
}

/// Does something again and again until there is no room for it.
pub(super) async fn until_full<T, E>(work: impl AsyncFn() -> Result<T, E>) -> E {
    for _ in 0..500 {
        if let Err(error) = work().await {
            return error;
        }
    }
    panic!("there was always room")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_its_record_nothing_is_answered() {
    let config = small();
    // A full disk is an error and no signal; so is this limit then.
    let launch =
        Launch { before: "trap '' XFSZ; ", ..Launch::plain(&config.path, config.around()) };
    let daemon = launch.start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "first")).await.unwrap();
    limit(&daemon, Some(96 << 10));
    let count = std::cell::Cell::new(0);
    let (name, status) = until_full(async || {
        count.set(count.get() + 1);
        let name = format!("run-{}", count.get());
        client.resolve(resolve("small", &name)).await.map_err(|status| (name, status))
    })
    .await;
    let problem = check_reason(&status, "STORE_UNAVAILABLE");
    assert_eq!((problem.code.as_str(), problem.retry), ("UNAVAILABLE", true));
    // What is smaller may still find room, for a while.
    let given = std::cell::Cell::new(0);
    let status = until_full(async || {
        client.reveal_all(&run("small", "first"), "go", None).await?;
        given.set(given.get() + 1);
        Ok(())
    })
    .await;
    let problem = check_reason(&status, "AUDIT_UNAVAILABLE");
    assert_eq!((problem.code.as_str(), problem.retry), ("UNAVAILABLE", true));
    // Denials and failures need their record too.
    let status = until_full(async || {
        let status = client.context(&run("small", "absent"), "go").await.unwrap_err();
        if status.code() == tonic::Code::NotFound { Ok(()) } else { Err(status) }
    })
    .await;
    check_reason(&status, "AUDIT_UNAVAILABLE");

    limit(&daemon, None);
    check_reason(&client.context(&run("small", &name), "go").await.unwrap_err(), "RUN_NOT_FOUND");
    client.resolve(resolve("small", &name)).await.unwrap();
    client.reveal_all(&run("small", "first"), "go", None).await.unwrap();
    let events = client.events().await;
    let reveals = events.iter().filter(|event| event.action() == Action::Reveal);
    let reveals: Vec<_> = reveals.map(paramd::proto::v1::Event::outcome).collect();
    assert_eq!(reveals, vec![EventOutcome::Succeeded; given.get() + 1]);
    let mut audit = client.audit.clone();
    let report = audit.verify_log(VerifyLogRequest::default()).await.unwrap().into_inner();
    assert!(report.chains.iter().all(|chain| chain.defect == 0), "{report:?}");
    daemon.stop();
}
