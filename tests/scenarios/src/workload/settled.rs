//! The data after the load has ended and all its effects have happened.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use contracts::notification::v1::{NotificationKind, NotificationState};
use contracts::order::v1::{GetUserViewRequest, OrderState};
use contracts::user::v1::GetUserRequest;

use super::verdict::{Found, Step, Verdict};
use super::workers::{Worker, name, until_answered};
use crate::caller::authorized;
use crate::patience::eventually;

/// How long a backlog may take to drain.
const DRAINS: Duration = Duration::from_secs(180);

/// The verdict on one user; `inversions` were counted during the load.
pub(super) async fn judge(worker: &mut Worker, admin: &str, inversions: usize) -> Result<Verdict> {
    let mut found = Found::default();
    let complete = eventually("every order has its mails", DRAINS, async || {
        found = look(worker).await.map_err(|error| format!("{error:#}"))?;
        let expected = found
            .orders
            .iter()
            .map(|(_, step)| 1 + *step as usize)
            .sum::<usize>();
        let mails = found.mails.len();
        if mails >= expected {
            Ok(())
        } else {
            Err(format!("{mails} of {expected} mails"))
        }
    });
    // Missing mails are counted below.
    let complete = complete.await.is_ok();
    let unheard = usize::from(!all_heard(worker, admin).await?);
    let verdict = worker.answers.judge(&found, inversions + unheard);
    if complete {
        last_name(worker).await?;
    }
    Ok(verdict)
}

async fn look(worker: &Worker) -> Result<Found> {
    let (caller, token) = (&worker.caller, &worker.token);
    let orders = until_answered("ListOrders", async || caller.orders_of(token).await).await?;
    let mails = until_answered("ListNotifications", async || {
        caller.notifications_of(token).await
    })
    .await?;
    let steps = orders.into_iter().map(|order| {
        let step = step_of(order.state()).context("an order in an unexpected state")?;
        let line = order
            .lines
            .into_iter()
            .next()
            .context("an order without lines")?;
        Ok((line.sku, step))
    });
    let sent = mails
        .into_iter()
        .filter(|mail| mail.state() == NotificationState::Sent);
    Ok(Found {
        orders: steps.collect::<Result<_>>()?,
        mails: sent
            .filter_map(|mail| Some((step_of_mail(mail.kind())?, mail.event_id)))
            .collect(),
    })
}

/// Whether the order service has handled every event of the user, including the last one: it handles them only in
/// order.
async fn all_heard(worker: &Worker, admin: &str) -> Result<bool> {
    let caller = &worker.caller;
    let request = GetUserRequest {
        user_id: worker.user_id.clone(),
    };
    let user = until_answered("GetUser", async || {
        let request = authorized(&worker.token, request.clone());
        caller.users.clone().get_user(request).await
    });
    let user = user
        .await?
        .into_inner()
        .user
        .context("the answer holds no user")?;
    let heard = eventually("the last event of the user is heard", DRAINS, async || {
        let version = heard_version(worker, admin)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let etag = format!("\"{version}\"");
        if etag == user.etag {
            Ok(())
        } else {
            Err(format!("{etag}, not {}", user.etag))
        }
    });
    Ok(heard.await.is_ok())
}

/// The version of the user's last event that the order service has handled.
pub(super) async fn heard_version(worker: &Worker, admin: &str) -> Result<i64> {
    let request = GetUserViewRequest {
        user_id: worker.user_id.clone(),
    };
    let request = authorized(admin, request);
    let answer = worker.caller.orders.clone().get_user_view(request).await?;
    let view = answer
        .into_inner()
        .user_view
        .context("the answer holds no view")?;
    Ok(view.user_version)
}

/// A new mail must use the last name.
async fn last_name(worker: &mut Worker) -> Result<()> {
    let order_id = worker.place(&worker.word("last")).await?;
    let greeting = format!("Hello {},", name(worker.renamed));
    let what = format!("the mail of order {order_id} greets with {greeting:?}");
    eventually(&what, DRAINS, async || {
        let mails = worker.caller.mailbox.mails(&order_id).await;
        let mails = mails.map_err(|error| format!("{error:#}"))?;
        let mail = mails.first().ok_or("there is no mail")?;
        if mail.text.contains(&greeting) {
            Ok(())
        } else {
            Err(mail.text.clone())
        }
    })
    .await
}

/// The mails as their recipients see them: one for every step of an order. If no process was killed, none is sent
/// twice.
pub(super) async fn one_mail_each(workers: &[Worker]) -> Result<()> {
    for worker in workers {
        let orders = worker.caller.orders_of(&worker.token).await?;
        let mails = worker.caller.mailbox.mails(&worker.email).await?;
        for order in orders {
            let steps = usize::try_from(order.state)?;
            let about = mails
                .iter()
                .filter(|mail| mail.text.contains(&order.order_id));
            let about = about.count();
            ensure!(
                about == steps,
                "{about} mails of the {steps} steps of order {}",
                order.order_id
            );
        }
    }
    Ok(())
}

fn step_of(state: OrderState) -> Option<Step> {
    match state {
        OrderState::Placed => Some(Step::Placed),
        OrderState::Confirmed => Some(Step::Confirmed),
        OrderState::Shipped => Some(Step::Shipped),
        OrderState::Cancelled | OrderState::Unspecified => None,
    }
}

fn step_of_mail(kind: NotificationKind) -> Option<Step> {
    match kind {
        NotificationKind::OrderPlaced => Some(Step::Placed),
        NotificationKind::OrderConfirmed => Some(Step::Confirmed),
        NotificationKind::OrderShipped => Some(Step::Shipped),
        _ => None,
    }
}
