//! Accepts connections and serves HTTP/1.1 on them. A bounded number at a time, without delay of small writes; whatever
//! goes wrong on one connection ends that connection and nothing else.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use warp::filters::BoxedFilter;
use warp::http::Uri;
use warp::reply::Response;

/// The most connections at a time; more wait in the system's queue.
pub const CONNECTIONS_MAX: u32 = 10_000;
/// How long a client may take to send the head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// How long requests that run may take to end when the server stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);
/// So many bytes wait in the system for a reader, beside what is under way to it.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 128 * 1024;
/// How long to wait before accepting again when the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves at most `connections_max` connections at a time until `stop` is done, then lets running requests end, for
/// [`DRAIN_TIME_MAX`] at most.
pub async fn serve(
    listener: TcpListener,
    connections_max: u32,
    routes: BoxedFilter<(Response,)>,
    stop: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(connections_max as usize));
    let (stopping, stopped) = watch::channel(false);
    tokio::pin!(stop);
    let mut is_stuck = false;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, slot)) => {
                is_stuck = false;
                drop(tokio::spawn(serve_one(stream, slot, routes.clone(), stopped.clone())));
            }
            Err(error) => {
                // Once, not at every try: a system without descriptors must not fill its disk with that.
                if !std::mem::replace(&mut is_stuck, true) {
                    tracing::warn!(%error, "connections cannot be accepted; they wait until it goes again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let all_ended = slots.acquire_many(connections_max);
    if tokio::time::timeout(DRAIN_TIME_MAX, all_ended).await.is_err() {
        tracing::warn!("some requests did not end in time; their connections are closed");
    }
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.expect("the semaphore of connections is never closed");
    let (stream, _) = listener.accept().await?;
    // Answers are small and written whole: waiting to join them costs 40 ms and saves nothing.
    stream.set_nodelay(true)?;
    limit_unsent(&stream)?;
    Ok((stream, slot))
}

/// Has the system take more only when less than [`UNSENT_BYTES`] wait to be sent. It would take megabytes for a reader that
/// is slow: then nobody could tell for minutes whether bytes still move, and each such reader would cost them.
#[cfg(target_os = "linux")]
fn limit_unsent(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)
}

#[cfg(not(target_os = "linux"))]
fn limit_unsent(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

async fn serve_one(
    stream: TcpStream,
    _slot: OwnedSemaphorePermit,
    routes: BoxedFilter<(Response,)>,
    mut stopped: watch::Receiver<bool>,
) {
    let answers = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: Request<_>| {
        // A CONNECT names a host and no path, for which warp has no answer but a panic.
        if request.uri().path_and_query().is_none() {
            *request.uri_mut() = Uri::from_static("/");
        }
        answers.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
