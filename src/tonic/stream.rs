use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tonic::Status;
use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::answer::Answers;
use crate::gate::BoxFuture;
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::telemetry;

/// The messages of a stream, for as long as the caller's key opens.
///
/// When it [ends](Principal::ended), so does the stream, with the status of a caller that is refused
/// for it: mostly `UNAUTHENTICATED`, and `UNAVAILABLE` where the store cannot be asked for longer than
/// a revocation may take. The messages are dropped then, and with them what makes them.
///
/// It suits what a method replies, and what it is sent.
///
/// ```
/// use keygate::tonic::{RequestExt, UntilEnded, until_ended};
/// use tonic::{Request, Response, Status, Streaming};
///
/// type Replies = UntilEnded<Streaming<String>>;
///
/// async fn echo(request: Request<Streaming<String>>) -> Result<Response<Replies>, Status> {
///     let caller = request.principal()?;
///     Ok(Response::new(until_ended(&caller, request.into_inner())))
/// }
/// ```
pub fn until_ended<S, T>(caller: &Principal, messages: S) -> UntilEnded<S>
where
    S: Stream<Item = Result<T, Status>>,
{
    UntilEnded {
        caller: caller.clone(),
        ended: Box::pin(caller.ended()),
        messages: Some(messages),
    }
}

pin_project! {
    /// The stream that [`until_ended`] makes.
    #[must_use = "streams do nothing unless they are polled"]
    pub struct UntilEnded<S> {
        caller: Principal,
        ended: BoxFuture<Refusal>,
        // `None` once they have ended, or the key has.
        #[pin]
        messages: Option<S>,
    }
}

impl<S, T> Stream for UntilEnded<S>
where
    S: Stream<Item = Result<T, Status>>,
{
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let Some(messages) = this.messages.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        // First, or a stream that is never at a loss would outlast the key.
        if let Poll::Ready(refusal) = this.ended.as_mut().poll(context) {
            this.messages.set(None);
            return Poll::Ready(Some(Err(refuse(this.caller, &refusal))));
        }
        let next = ready!(messages.poll_next(context));
        if next.is_none() {
            this.messages.set(None);
        }
        Poll::Ready(next)
    }
}

/// Says in the log why the stream ends, and answers as the guard would.
fn refuse(caller: &Principal, refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Failed(error) => telemetry::failed("stream ended", error),
        Refusal::Rejected(_) => telemetry::refused(refusal, Some(caller.key_id())),
    }
    Answers::of(caller).refuse_grpc(refusal).into()
}

impl<S> fmt::Debug for UntilEnded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilEnded")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
