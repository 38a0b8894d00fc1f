//! Clients that wait hold up nobody, and are ended.

use super::*;

const SHORT: Duration = Duration::from_millis(200);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A client that has sent this and waits.
async fn waiting(path: &Path, sent: &[&[u8]]) -> UnixStream {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(&sent.concat()).await.unwrap();
    stream
}

/// Waits until the server has ended the connection, in whatever way.
async fn ended(mut stream: UnixStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest));
    let _ = read.await.expect("the connection is ended");
}

async fn answers(path: &Path) {
    let mut health = HealthClient::new(channel(path).await);
    let asked = health.check(HealthCheckRequest::default());
    tokio::time::timeout(Duration::from_secs(5), asked).await.expect("it answers").unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_open_http_2_is_ended() {
    let served = start_with(Limits { preface: SHORT, ..Limits::default() }).await;
    let half = [PREFACE, &[0, 0, 0, 4]].concat();
    for sent in [&b""[..], b"PRI * HT", PREFACE, &half] {
        let stream = waiting(&served.path, &[sent]).await;
        answers(&served.path).await;
        ended(stream).await;
    }
}

#[tokio::test]
async fn a_client_that_sends_half_a_frame_is_ended() {
    let limits = Limits { keepalive: SHORT, keepalive_answer: SHORT, ..Limits::default() };
    let served = start_with(limits).await;
    // Headers that another frame would have to go on with.
    let half = [0, 0, 2, 1, 0, 0, 0, 0, 1, 0x83, 0x86];
    let stream = waiting(&served.path, &[PREFACE, SETTINGS, &half]).await;
    answers(&served.path).await;
    ended(stream).await;
}

#[tokio::test]
async fn a_message_that_does_not_arrive_ends_its_request() {
    let served = start_with(Limits { message: SHORT, ..Limits::default() }).await;
    let mut block = vec![0x83, 0x86, 0x44, 28];
    block.extend(b"/grpc.health.v1.Health/Check");
    block.extend([0x41, 1, b'a', 0x5f, 16]);
    block.extend(b"application/grpc");
    let length = u8::try_from(block.len()).unwrap();
    let headers = [&[0, 0, length, 1, 4, 0, 0, 0, 1][..], &block].concat();
    // Five bytes are promised, and one comes.
    let half = [0, 0, 6, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 5, 1];
    let mut stream = waiting(&served.path, &[PREFACE, SETTINGS, &headers, &half]).await;
    let answer = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            stream.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await.unwrap();
            let (kind, flags, id) = (head[3], head[4], head[8]);
            // Reset, or headers that end it.
            if id == 1 && (kind == 3 || kind == HEADERS_FRAME && flags & 1 == 1) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answer).await.expect("the request is ended");
    answers(&served.path).await;
}

#[tokio::test]
async fn a_full_door_opens_again_once_those_who_wait_are_ended() {
    let limits = Limits { connections: 2, preface: SHORT, ..Limits::default() };
    let served = start_with(limits).await;
    let (_one, _two) = (waiting(&served.path, &[]).await, waiting(&served.path, &[]).await);
    answers(&served.path).await;
}

/// A request of nothing for the pipelines' service.
fn get_pipeline() -> Vec<u8> {
    let path = "/paramd.v1.PipelineService/GetPipeline";
    let mut block = vec![0x83, 0x86, 0x44, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x41, 1, b'a', 0x5f, 16]);
    block.extend(b"application/grpc");
    let length = u8::try_from(block.len()).unwrap();
    let message = [0, 0, 5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    [&[0, 0, length, 1, 4, 0, 0, 0, 1][..], &block, &message].concat()
}

/// Fails where the server ends the connection.
async fn lasts(stream: &mut UnixStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(5 * SHORT, stream.read_to_end(&mut rest));
    assert!(read.await.is_err(), "the connection was ended");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answers_is_ended() {
    let served = start_with(Limits { answer: SHORT, ..Limits::default() }).await;
    // A stream begins without a window, so that nothing is let go.
    let none = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    let slow = waiting(&served.path, &[PREFACE, &none, &get_pipeline()]).await;
    let mut quick = waiting(&served.path, &[PREFACE, SETTINGS, &get_pipeline()]).await;
    answers(&served.path).await;
    ended(slow).await;
    lasts(&mut quick).await;
}

#[tokio::test]
async fn a_client_that_asks_nothing_is_ended() {
    let served = start_with(Limits { strange: SHORT, ..Limits::default() }).await;
    ended(waiting(&served.path, &[PREFACE, SETTINGS]).await).await;
    let served = start_with(Limits { idle: SHORT, ..Limits::default() }).await;
    // Nobody has proved here who he is, so that is another limit.
    lasts(&mut waiting(&served.path, &[PREFACE, SETTINGS]).await).await;
}

#[tokio::test]
async fn of_one_place_the_oldest_stranger_makes_room() {
    let served = start_with(Limits { connections_of_one: 2, ..Limits::default() }).await;
    let first = waiting(&served.path, &[]).await;
    let _second = waiting(&served.path, &[PREFACE, SETTINGS]).await;
    answers(&served.path).await;
    ended(first).await;
}

#[tokio::test]
async fn empty_pieces_do_not_make_a_message_last() {
    let served = start_with(Limits { message: SHORT, ..Limits::default() }).await;
    let request = get_pipeline();
    // All but its message, and then nothing again and again.
    let headers = &request[..request.len() - 14];
    let mut stream = waiting(&served.path, &[PREFACE, SETTINGS, headers]).await;
    let (mut reads, mut writes) = stream.split();
    let feed = async {
        while writes.write_all(&[0, 0, 0, 0, 0, 0, 0, 0, 1].repeat(20)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let answer = async {
        loop {
            let mut head = [0; 9];
            if reads.read_exact(&mut head).await.is_err() {
                return;
            }
            let mut rest = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
            let read = reads.read_exact(&mut rest).await;
            if read.is_err() || head[8] == 1 && (head[3] == HEADERS_FRAME || head[3] == 3) {
                return;
            }
        }
    };
    let answered = async {
        tokio::select! {
            () = feed => {}
            () = answer => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answered).await.expect("the request is ended");
}

#[tokio::test]
async fn health_and_reflection_have_so_many_requests_on_a_connection() {
    let served = start_with(Limits { others: 2, ..Limits::default() }).await;
    let channel = channel(&served.path).await;
    let mut health = HealthClient::new(channel.clone());
    let first = health.watch(HealthCheckRequest::default()).await.unwrap();
    let _second = health.watch(HealthCheckRequest::default()).await.unwrap();
    let refused = health.check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let mut ours = PipelineServiceClient::new(channel);
    ours.get_pipeline(v1::GetPipelineRequest::default()).await.expect("those are others");
    answers(&served.path).await;
    drop(first);
    let again = async {
        while health.check(HealthCheckRequest::default()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("one that ends makes room");
}
