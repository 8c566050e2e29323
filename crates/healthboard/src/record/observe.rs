//! A future whose outcome is recorded.

use super::{Indicator, Operation, Outcome};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future whose outcome is recorded; made by [`Indicator::observe`].
///
/// The operation begins with the first poll. If the future is dropped after that and before its end, the operation is
/// abandoned.
#[must_use = "futures do nothing unless they are polled"]
pub struct Observe<F, C> {
    indicator: Indicator,
    operation: Option<Operation>,
    future: F,
    classify: Option<C>,
}

impl<F, C> Observe<F, C> {
    pub(super) fn new(indicator: Indicator, future: F, classify: C) -> Observe<F, C> {
        Observe { indicator, operation: None, future, classify: Some(classify) }
    }
}

impl<F: Future, C: FnOnce(&F::Output) -> Outcome> Future for Observe<F, C> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned whenever `self` is, it is never moved out, and no other field is pinned. There is no
        // `Drop`, and the type is `Unpin` only if all its fields are.
        let this = unsafe { self.get_unchecked_mut() };
        let indicator = this.indicator;
        // Here during the poll, so that its own panic ends it, whoever catches that.
        let mut operation = this.classify.is_some().then(|| match this.operation.take() {
            Some(operation) => operation,
            None => indicator.begin(),
        });
        operation.iter_mut().for_each(Operation::resume);
        // SAFETY: as above.
        let Poll::Ready(output) = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx) else {
            operation.iter_mut().for_each(Operation::suspend);
            this.operation = operation;
            return Poll::Pending;
        };
        if let Some((operation, classify)) = operation.zip(this.classify.take()) {
            operation.end(&classify(&output));
        }
        Poll::Ready(output)
    }
}
