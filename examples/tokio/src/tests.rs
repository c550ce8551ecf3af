use super::*;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_echoed() {
    let (here, there) = brooklet::pipe(64);
    let client = client(here).unwrap();
    serve(there).unwrap();
    let message = "x".repeat(10_000);
    assert_eq!(talk(&client, &message).await.unwrap(), message);
}

#[tokio::test]
async fn datagrams_are_echoed() {
    let (here, there) = brooklet::pipe(64);
    let parts = Builder::new()
        .build_with_timer(here, TokioTimer::default())
        .unwrap();
    tokio::spawn(parts.driver);
    serve(there).unwrap();
    let (from, to) = (([10, 0, 0, 1], 5000).into(), ([192, 0, 2, 1], 7).into());
    parts.udp.send_to(b"hello", from, to).await.unwrap();
    let echo = parts.udp.recv_datagram().await.unwrap();
    assert_eq!(
        (&echo.payload[..], echo.from, echo.to),
        (&b"hello"[..], to, from)
    );
}

/// With tokio's clock paused, the time-outs of the stack take no time.
#[tokio::test(start_paused = true)]
async fn a_connection_to_nobody_times_out_in_the_time_of_the_runtime() {
    let (here, _nobody) = brooklet::pipe(64);
    let client = client(here).unwrap();
    let (start, really) = (Instant::now(), std::time::Instant::now());
    let error = talk(&client, "hello?").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(
        start.elapsed() > Duration::from_secs(10),
        "after {:?}",
        start.elapsed()
    );
    assert!(really.elapsed() < Duration::from_secs(10));
}
