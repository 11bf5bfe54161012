//! Watches an answer to its end: the status of a call is in the trailers, and the polls show whether the client reads.

use std::future::Future as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::{Code, Status};

use super::outcome::Outcome;
use super::remap;
use super::unread::Reply;
use crate::status;

pub(super) struct Watched {
    body: Body,
    outcome: Outcome,
    reply: Reply,
    end: Option<End>,
}

struct End {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Watched {
    pub(super) fn wrap(
        body: Body,
        outcome: Outcome,
        reply: Reply,
        longest: Option<Duration>,
    ) -> Body {
        let end = longest.map(|limit| End {
            limit,
            sleep: Box::pin(tokio::time::sleep(limit)),
        });
        Body::new(Self {
            body,
            outcome,
            reply,
            end,
        })
    }

    /// The client knew the limit, so it is no fault.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<Frame<Bytes>, Status>> {
        let Some(end) = &mut self.end else {
            return Poll::Pending;
        };
        ready!(end.sleep.as_mut().poll(context));
        let status = status::deadline_exceeded(end.limit);
        self.end = None;
        self.body = Body::empty();
        self.outcome.excuse();
        self.outcome.is(status.code());
        Poll::Ready(trailers_of(&status))
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        // A stream of answers is the service's code, and may panic like a handler.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            Pin::new(&mut this.body).poll_frame(context)
        }));
        let Ok(polled) = polled else {
            this.body = Body::empty();
            this.outcome.is(Code::Internal);
            return Poll::Ready(Some(trailers_of(&status::internal())));
        };
        if polled.is_pending()
            && let Poll::Ready(ended) = this.poll_end(context)
        {
            return Poll::Ready(Some(ended));
        }
        // The transport polls only if the client has room for more.
        match polled {
            Poll::Pending => this.reply.waits_for_us(),
            Poll::Ready(_) => this.reply.waits_for_client(),
        }
        match polled {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut()
                    && let Some(found) = remap::status_in(trailers)
                {
                    if found.is_clients {
                        this.outcome.excuse();
                    }
                    this.outcome.is_in(found.code, trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.outcome.is(error.code());
                Poll::Ready(Some(Err(error)))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn trailers_of(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = http::HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}
