//! The account with an authority: made once, kept with its key, found again by whoever shares the store.

use std::fs;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cutover_core::acme::{Authority, Binding};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};

use super::http::{Asked, Way};
use super::store::{self, Store};
use super::trouble::Trouble;

/// The account of this store; a new one if there is none.
pub async fn open(store: &Store, authority: &Authority, asked: &Asked) -> Result<Account, Trouble> {
    let (path, directory) = (store.account(), authority.directory.as_str());
    let builder = Account::builder_with_http(Box::new(Way::to(authority, asked.clone()).await?));
    match fs::read(&path) {
        Ok(kept) => {
            let kept: AccountCredentials = serde_json::from_slice(&kept).map_err(|error| Trouble::Disk {
                path,
                source: io::Error::other(format!("it is no account: {error}")),
            })?;
            builder.from_credentials(kept).await.map_err(|error| Trouble::of(error, directory))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let binding = authority.binding.as_ref().map(bound).transpose()?;
            let contact = authority.email.as_ref().map(|email| format!("mailto:{email}"));
            let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
            let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
            let made = builder.create(&new, directory.to_owned(), binding.as_ref()).await;
            let (account, credentials) = made.map_err(|error| Trouble::of(error, directory))?;
            let text = serde_json::to_vec(&credentials).map_err(|error| Trouble::Odd(error.to_string()))?;
            store::write(&path, &text).map_err(Trouble::disk(path))?;
            tracing::info!(directory, id = account.id(), "there is an account with the authority now");
            Ok(account)
        }
        Err(error) => Err(Trouble::disk(path)(error)),
    }
}

/// The key of the account that one has there already. No message holds anything of it.
fn bound(binding: &Binding) -> Result<ExternalAccountKey, Trouble> {
    let path = &binding.key_file;
    let text = fs::read_to_string(path).map_err(Trouble::disk(path))?;
    let key = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('='));
    let key = key.map_err(|_| Trouble::disk(path)(io::Error::other("it is not a key in base64url")))?;
    Ok(ExternalAccountKey::new(binding.kid.clone(), &key))
}
