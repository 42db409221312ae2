//! A wire between a store and its server that can be cut in bad places.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of the bytes on every connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// They pass.
    Pass,
    /// Requests pass, and the connection is cut in place of the answer.
    CutAnswers,
    /// Those that were made until now keep silent for ever, and nobody closes them. New ones pass.
    Silence,
}

pub(crate) struct Proxy {
    port: u16,
    target: Arc<AtomicU16>,
    mode: watch::Sender<Mode>,
    accepted: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, modes) = watch::channel(Mode::Pass);
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let target = Arc::new(AtomicU16::new(target));
        let current = Arc::clone(&target);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let mut modes = modes.clone();
                modes.mark_unchanged();
                tokio::spawn(relay(client, current.load(Ordering::Relaxed), modes));
            }
        });
        Self {
            port,
            target,
            mode,
            accepted,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Leads new connections elsewhere, as a name does after a failover.
    pub(crate) fn lead_to(&self, target: u16) {
        self.target.store(target, Ordering::Relaxed);
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn relay(mut client: TcpStream, target: u16, mut modes: watch::Receiver<Mode>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let (mut asked, mut answered) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            biased;
            Ok(()) = modes.changed() => {
                if *modes.borrow_and_update() == Mode::Silence {
                    return std::future::pending().await;
                }
            }
            Ok(length @ 1..) = client.read(&mut asked) => {
                if server.write_all(&asked[..length]).await.is_err() {
                    return;
                }
            }
            Ok(length @ 1..) = server.read(&mut answered) => {
                let cut = *modes.borrow() == Mode::CutAnswers;
                if cut || client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}
