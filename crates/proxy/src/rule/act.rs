//! Carrying out what was judged.

use super::access::{Login, Verdict};
use super::files;
use super::judge::Ruling;
use crate::live::service::LiveService;
use crate::serve::connection::{Client, Next};
use crate::serve::ident;
use crate::serve::refuse::{Refusal, reason};

/// What must be known of a request that the proxy answers itself.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// Whether another request may follow on the connection.
    pub keep: bool,
    /// Whether the client speaks HTTP/1.0.
    pub old: bool,
    /// Whether the answer has no body: the method is `HEAD`.
    pub bodiless: bool,
}

/// Answers in place of the service; none if the request is to be passed on.
pub async fn act(client: &mut Client, service: &LiveService, ruling: Ruling, manners: Manners) -> Option<Next> {
    if matches!(ruling, Ruling::Pass) {
        return None;
    }
    // Apart, so that the future of a connection without rules stays small.
    Box::pin(instead(client, service, ruling, manners)).await
}

async fn instead(client: &mut Client, service: &LiveService, ruling: Ruling, manners: Manners) -> Option<Next> {
    let ruling = match ruling {
        Ruling::Login(login, wish) => look(client, service, login, *wish).await,
        ruling => ruling,
    };
    match ruling {
        // There is no login behind a login.
        Ruling::Pass | Ruling::Login(..) => None,
        Ruling::Refuse(refusal) => Some(refuse(client, service, refusal, manners).await),
        Ruling::File(wanted) => files::send(client, service, *wanted, manners).await,
        Ruling::Redirect { status, location } => {
            service.counts.shard(client.worker.index).served();
            let mut head = format!("HTTP/1.1 {status} {}\r\nLocation: ", reason(status)).into_bytes();
            head.extend_from_slice(&location);
            head.extend_from_slice(b"\r\nContent-Length: 0\r\n\r\n");
            Some(answer(client, service, head, manners).await)
        }
    }
}

/// What becomes of a wish once its login was looked up.
async fn look(client: &Client, service: &LiveService, login: Login, wish: Ruling) -> Ruling {
    let Some(password) = service.rules.as_ref().and_then(|rules| rules.password()) else { return wish };
    match service.counts.memory.passwords.look(password, login, client.worker.shared.now_us()).await {
        Verdict::Right => wish,
        verdict => Ruling::Refuse(verdict.refusal(&password.realm)),
    }
}

/// Refuses, with the page that the service has for it.
pub async fn refuse(client: &mut Client, service: &LiveService, refusal: Refusal, manners: Manners) -> Next {
    client.refuse_to(&service.dress(refusal), manners.keep, manners.bodiless).await
}

/// Writes a head of the proxy's own, with no body behind it, by the header rules of the service.
pub async fn answer(client: &mut Client, service: &LiveService, mut head: Vec<u8>, manners: Manners) -> Next {
    let keep = finish(client, service, &mut head, manners);
    client.answer(&head, keep).await
}

/// Completes a head of the proxy's own: the id of the request, what is said of the connection, and the header rules. Whether the connection stays open.
pub fn finish(client: &Client, service: &LiveService, head: &mut Vec<u8>, manners: Manners) -> bool {
    let keep = manners.keep && !client.slot.retired();
    ident::name(head, &client.record.id.borrow());
    match (keep, manners.old) {
        (true, true) => super::edit::append(head, b"Connection: keep-alive\r\n"),
        (true, false) => {}
        (false, _) => super::edit::append(head, b"Connection: close\r\n"),
    }
    if let Some(rules) = &service.rules {
        rules.edit_answer(head);
    }
    keep
}
