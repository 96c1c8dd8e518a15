//! One attempt to get a certificate for one name, from the account to the file.

use std::path::PathBuf;

use cutover_core::acme::Challenge;
use instant_acme::{
    AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order as Ordered, OrderStatus, RetryPolicy,
};

use super::answer::{self, is_token};
use super::http::Asked;
use super::store::{self, Store};
use super::trouble::{self, Trouble};
use super::{Order, account, now};
use crate::tls::Pair;

/// What the authority is answered, for as long as it may ask.
struct Answer(PathBuf);

impl Drop for Answer {
    fn drop(&mut self) {
        let _ = store::remove(&self.0);
    }
}

/// Gets the certificate and puts it into the store.
pub async fn obtain(order: &Order, store: &Store, asked: &Asked) -> Result<(), Trouble> {
    let (name, directory) = (order.name.as_str(), order.authority.directory.as_str());
    let account = account::open(store, &order.authority, asked).await?;
    let identifiers = [Identifier::Dns(name.to_owned())];
    let mut ordered = match account.new_order(&NewOrder::new(&identifiers)).await {
        Ok(ordered) => ordered,
        Err(error) if Trouble::is_without_account(&error) => {
            // The next attempt makes another one.
            store::remove(&store.account()).map_err(Trouble::disk(store.account()))?;
            return Err(Trouble::of(error, directory));
        }
        Err(error) => return Err(Trouble::of(error, directory)),
    };
    prove(order, store, &mut ordered).await?;
    let key = ordered.finalize().await.map_err(|error| Trouble::of(error, directory))?;
    let chain = ordered.poll_certificate(&patience()).await.map_err(|error| Trouble::of(error, directory))?;
    keep(name, store, &key, &chain)
}

/// Shows that the name is ours.
async fn prove(order: &Order, store: &Store, ordered: &mut Ordered) -> Result<(), Trouble> {
    let of = |error| Trouble::of(error, &order.authority.directory);
    let mut answers = Vec::new();
    let mut authorizations = ordered.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(of)?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let kind = kind(order.authority.challenge);
        let Some(mut challenge) = authorization.challenge(kind) else {
            let by = order.authority.challenge.text();
            return Err(Trouble::Refused(format!("it does not look by {by} whether {} is ours", order.name)));
        };
        let text = challenge.key_authorization().as_str().to_owned();
        answers.push(write(order, store, &challenge.token, &text)?);
        challenge.set_ready().await.map_err(of)?;
    }
    match ordered.poll_ready(&patience()).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => Ok(()),
        Ok(_) => Err(unproven(order, ordered, None).await),
        Err(Error::Api(problem)) => Err(unproven(order, ordered, Some(trouble::said(&problem))).await),
        Err(error) => Err(of(error)),
    }
}

/// Puts the answer where whoever is asked will look.
fn write(order: &Order, store: &Store, token: &str, text: &str) -> Result<Answer, Trouble> {
    let file = match order.authority.challenge {
        Challenge::Http01 if !is_token(token.as_bytes()) => {
            return Err(Trouble::Useless(format!("{token:?} is not a token")));
        }
        Challenge::Http01 => token.to_owned(),
        Challenge::TlsAlpn01 => answer::file_of(&order.name),
    };
    let path = store.challenges().join(file);
    store::write(&path, text.as_bytes()).map_err(Trouble::disk(&path))?;
    Ok(Answer(path))
}

/// What the authority has against the name. It says so about the challenge; about the order it says only that there is something.
async fn unproven(order: &Order, ordered: &mut Ordered, otherwise: Option<String>) -> Trouble {
    let mut why = None;
    let mut authorizations = ordered.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Ok(state) = authorization.refresh().await {
            why = why
                .or_else(|| state.challenges.iter().find_map(|challenge| challenge.error.as_ref().map(trouble::said)));
        }
    }
    let (challenge, hint) = match order.authority.challenge {
        Challenge::Http01 => ("http-01", ". Does the name lead here, and does port 80 reach this proxy?"),
        Challenge::TlsAlpn01 => {
            ("tls-alpn-01", ". Does the name lead here, and does port 443 reach this proxy unopened?")
        }
    };
    let why = why.or(otherwise).unwrap_or_else(|| "it gave no reason".to_owned());
    Trouble::Unproven { name: order.name.clone(), challenge, why, hint }
}

/// Looks at the certificate before anybody is shown it, and keeps it.
fn keep(name: &str, store: &Store, key: &str, chain: &str) -> Result<(), Trouble> {
    let path = store.pair(name);
    let useless = |error: crate::tls::PairError| Trouble::Useless(error.to_string());
    let text = format!("{key}{chain}");
    let pair = Pair::of(text.as_bytes(), &path).map_err(useless)?;
    if !pair.facts.covers(name) {
        return Err(Trouble::Useless(format!("it is for {}, not for {name}", pair.facts.names.join(", "))));
    }
    if pair.facts.until <= now() {
        return Err(Trouble::Useless(
            "it has expired already: look whether the clock of this machine is right (`date`)".into(),
        ));
    }
    store::write(&path, text.as_bytes()).map_err(Trouble::disk(&path))
}

fn kind(challenge: Challenge) -> ChallengeType {
    match challenge {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// How long the authority is asked whether it is done. The limit of the whole attempt is upkeep's.
fn patience() -> RetryPolicy {
    RetryPolicy::default().timeout(super::upkeep::LIMIT)
}
