//! One connection, on which any number of requests are under way at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::redis::aio::{MultiplexedConnection, SendError};
use ::redis::{Cmd, Pipeline, PushInfo, PushKind, RedisError, ServerErrorKind, Value};

use super::error::RedisOpenError;
use super::script::Call;
use super::server::Server;

#[derive(Clone)]
pub(super) struct Wire {
    connection: MultiplexedConnection,
    lost: Arc<AtomicBool>,
}

/// What is asked, and what else in the same round trip.
pub(super) enum Request {
    Command(Cmd),
    Script(Call),
}

impl Wire {
    pub(super) async fn connect(server: &Server) -> Result<Self, RedisOpenError> {
        let lost = Arc::new(AtomicBool::new(false));
        let noticed = Arc::clone(&lost);
        let notice = move |push: PushInfo| -> Result<(), SendError> {
            if push.kind == PushKind::Disconnection {
                noticed.store(true, Ordering::Release);
            }
            Ok(())
        };
        let connection = server.connect(notice).await?;
        Ok(Self { connection, lost })
    }

    /// Whether the server has closed it. What is sent now would certainly be lost.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lost, &other.lost)
    }

    /// The reply, and with `and_role` that to a ROLE before it. An error is one of the connection;
    /// error replies are replies.
    pub(super) async fn ask(
        &self,
        request: &Request,
        and_role: bool,
    ) -> Result<(Value, Option<Value>), RedisError> {
        ask(&mut self.connection.clone(), request, and_role).await
    }
}

/// As [`Wire::ask`]. A script that the server does not know has not been run, and is sent whole.
pub(super) async fn ask(
    connection: &mut MultiplexedConnection,
    request: &Request,
    and_role: bool,
) -> Result<(Value, Option<Value>), RedisError> {
    let call = match request {
        Request::Command(command) => return send(connection, command.clone(), and_role).await,
        Request::Script(call) => call,
    };
    let replies = send(connection, call.by_hash(), and_role).await?;
    match &replies.0 {
        Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript) => {
            send(connection, call.by_source(), and_role).await
        }
        _ => Ok(replies),
    }
}

async fn send(
    connection: &mut MultiplexedConnection,
    command: Cmd,
    and_role: bool,
) -> Result<(Value, Option<Value>), RedisError> {
    let mut commands = Pipeline::new();
    commands.ignore_errors();
    // Asked first: a replica that is promoted afterwards may answer from what it had before.
    if and_role {
        commands.cmd("ROLE");
    }
    commands.add_command(command);
    let replies: Vec<Value> = commands.query_async(connection).await?;
    let mut replies = replies.into_iter();
    let role = if and_role { replies.next() } else { None };
    Ok((replies.next().unwrap_or_default(), role))
}
